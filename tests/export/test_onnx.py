"""ONNX: outputs in onnxruntime against torch's and the stand-alone module's, on photographs."""

import re

import pytest
import torch
from torch import nn

from raynas.export import onnx
from raynas.export.onnx import OnnxError, largest_onnx_difference, onnx_bytes
from raynas.training.onnx_network import OnnxNetwork
from tests.builders import shipped
from tests.exported import LITE, SHIPPED, SQUEEZED, crops, trained_network

pytestmark = pytest.mark.slow

pytest.importorskip("onnxscript", reason="the extra onnx is not installed")


def network_of(name: str) -> nn.Module:
    """Return a network of a shipped space whose logits are near 1."""
    space = shipped(name, identity=True)
    return trained_network(space, space.parse(SHIPPED[name]), crops(8, 32), 10)


@pytest.fixture(scope="module")
def tiny() -> tuple[nn.Module, bytes]:
    """Return a small network and its ONNX file."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    return network, onnx_bytes(network, crops(8, 32))


@pytest.mark.parametrize(
    "name",
    [
        "small_mobile",
        "shufflenet_v2",
        "mobilenet_v2",
        "nas_bench_macro",
        "darts_cells_small",
        pytest.param("darts_cells_imagenet", marks=pytest.mark.slow),
    ],
)
def test_networks_of_shipped_spaces_compute_the_same_within_1e_4(name: str) -> None:
    network = network_of(name)
    with torch.no_grad():
        logits = network(crops(8, 32))

    assert largest_onnx_difference(onnx_bytes(network, crops(8, 32)), crops(8, 32), logits) <= 1e-4
    assert logits.std() > 0.5  # or nothing was compared


def test_padding_by_the_size_of_the_input_computes_the_same_within_1e_4() -> None:
    images = crops(8, 35)  # halved: 35 and then 18
    network = trained_network(LITE, LITE.parse("0-3-4-1"), images, 10)
    with torch.no_grad():
        logits = network(images)

    assert largest_onnx_difference(onnx_bytes(network, images), images, logits) <= 1e-4


def test_squeeze_excitations_and_smooth_activations_compute_the_same_within_1e_4() -> None:
    images = crops(8, 33)
    network = trained_network(SQUEEZED, SQUEEZED.parse("0-1-0"), images, 10)
    with torch.no_grad():
        logits = network(images)

    assert largest_onnx_difference(onnx_bytes(network, images), images, logits) <= 1e-4
    assert logits.std() > 0.2  # or nothing was compared


def test_any_number_of_images_can_be_given_at_a_time(tiny: tuple[nn.Module, bytes]) -> None:
    loaded = OnnxNetwork(tiny[1])

    for count in (1, 2, 7):
        assert loaded(crops(8, 32)[:count].numpy()).shape == (count, 4)


def test_outputs_that_differ_are_refused(tiny: tuple[nn.Module, bytes]) -> None:
    network, content = tiny
    with torch.no_grad():
        logits = network(crops(8, 32))
    logits[0, 0] += 2e-4

    with pytest.raises(OnnxError, match=r"computes something else, by up to 0\.0002"):
        largest_onnx_difference(content, crops(8, 32), logits)


def test_a_file_that_is_none_is_refused() -> None:
    with pytest.raises(OnnxError, match="onnxruntime cannot run it"):
        largest_onnx_difference(b"nothing", crops(8, 32), torch.zeros(8, 4))


def test_the_file_does_not_tell_where_it_was_made(tiny: tuple[nn.Module, bytes]) -> None:
    assert not re.search(rb"\.py|site-packages|File \"", tiny[1])


def test_what_cannot_be_translated_is_said_in_a_sentence() -> None:
    class Fickle(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(OnnxError, match=r"torch\.onnx cannot translate it") as caught:
        onnx_bytes(Fickle().eval(), crops(8, 32))
    assert str(caught.value).isprintable()  # one line, no colours


def test_without_its_packages_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx, "PACKAGES", ("onnx", "not_there"))

    with pytest.raises(OnnxError, match=r"^not_there not installed; pip install 'raynas\[onnx\]'$"):
        onnx_bytes(nn.Identity(), crops(8, 32))
