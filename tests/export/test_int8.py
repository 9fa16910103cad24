"""Whole numbers of 8 bits: what they cost in accuracy on real digits, and when they are refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from raynas.data.batches import normalise
from raynas.data.dataset import Dataset, Images
from raynas.data.loading import load_dataset
from raynas.export.int8 import Int8, int8_of
from raynas.export.onnx import OnnxError, onnx_bytes
from raynas.export.quantisation import Scheme, quantised
from raynas.settings.images import ImageSettings
from raynas.training.onnx_network import OnnxNetwork

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
pytest.importorskip("onnxscript", reason="the extra onnx is not installed")


@pytest.fixture(scope="module")
def digits() -> Dataset:
    """Return real images of digits, 8 x 8 pixels."""
    return load_dataset("digits", ImageSettings(), 0, 8)


def normalised(images: Images, dataset: Dataset) -> torch.Tensor:
    """Return images as networks take them."""
    return normalise(torch.from_numpy(images.pixels), dataset)


@pytest.fixture(scope="module")
def network(digits: Dataset) -> nn.Sequential:
    """Return a network of depthwise and dense convolutions that knows digits."""
    images = digits.train.take(np.arange(len(digits.train)))
    x, labels = normalised(images, digits), torch.from_numpy(images.labels)
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(0)
        found = nn.Sequential(
            *(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(32, 32, 3, 2, padding=1, groups=32), nn.Conv2d(32, 96, 1), nn.ReLU6()),
            *(nn.Conv2d(96, 96, 3, padding=1), nn.Hardswish()),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(96, 10)),
        )
        optimiser = torch.optim.Adam(found.parameters())
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, 200)
        for step in range(200):
            chosen = torch.arange(step * 64, (step + 1) * 64) % len(x)
            loss = functional.cross_entropy(found(x[chosen]), labels[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return found.eval()


@pytest.fixture(scope="module")
def whole(network: nn.Module, digits: Dataset) -> bytes:
    """Return its ONNX file."""
    return onnx_bytes(network, normalised(digits.val.take(np.arange(4)), digits))


@pytest.fixture(scope="module")
def small(whole: bytes, digits: Dataset) -> Int8:
    """Return it in whole numbers of 8 bits."""
    return int8_of(whole, digits, seed=0, max_drop=0.02)


def without_times(found: Int8) -> dict[str, object]:
    """Return what is said of a network, but for how long it takes."""
    return {name: each for name, each in found.to_row().items() if "latency" not in name}


def test_it_is_nearly_as_accurate_and_its_probabilities_are_nearly_the_same(
    whole: bytes, small: Int8, digits: Dataset
) -> None:
    images = digits.test.take(np.arange(len(digits.test)))
    x = normalised(images, digits).numpy()
    before, after = (
        torch.from_numpy(OnnxNetwork(content)(x)).softmax(dim=1)
        for content in (whole, small.content)
    )
    right = (after.argmax(dim=1).numpy() == images.labels).mean()

    assert small.validation.float_accuracy > 0.9  # or nothing could fall
    assert small.validation.paired.difference >= -0.02
    assert small.test.accuracy == pytest.approx(right)
    assert small.test.paired.images == len(images)
    assert small.test.paired.low <= small.test.paired.difference <= small.test.paired.high
    assert float((before - after).abs().mean()) < 0.01


def test_it_is_several_times_smaller_and_made_of_pairs_of_quantise_and_dequantise(
    whole: bytes, small: Int8
) -> None:
    model = onnx.load_model_from_string(small.content)
    kinds = {node.op_type for node in model.graph.node}

    assert len(small.content) < len(whole) / 2.5
    assert {"QuantizeLinear", "DequantizeLinear", "Conv"} <= kinds
    assert not any("Integer" in kind for kind in kinds)  # as dynamic quantisation makes them
    assert small.float_bytes == len(whole)


def test_zero_points_of_weights_are_left_out_since_they_are_zero(small: Int8) -> None:
    """They and those of biases would be a twentieth of a small network's file."""
    graph = onnx.load_model_from_string(small.content).graph
    constants = {each.name for each in graph.initializer}
    read = [node for node in graph.node if node.op_type == "DequantizeLinear"]
    of_constants = [node for node in read if node.input[0] in constants]

    assert {len(node.input) for node in of_constants} == {2}
    assert {len(node.input) for node in read if node not in of_constants} == {3}
    assert constants <= {name for node in graph.node for name in node.input}


@pytest.mark.parametrize(("bits", "largest"), [(7, 64), (8, 127)])
def test_dense_weights_have_the_bits_of_the_scheme_and_depthwise_ones_eight(
    bits: int, largest: int, whole: bytes, digits: Dataset
) -> None:
    images = normalised(digits.train.take(np.arange(20)), digits).numpy()
    model = onnx.load_model_from_string(quantised(whole, images, Scheme(True, bits)))
    arrays = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    most = {  # by the inputs of a filter: 1 where it is depthwise
        weights.shape[1:]: int(np.abs(weights.astype(int)).max())
        for weights in arrays.values()
        if weights.dtype == np.int8 and weights.ndim == 4
    }

    assert most == {(1, 3, 3): 127, (32, 1, 1): largest, (96, 3, 3): largest}


def test_the_same_seed_makes_the_same_bytes(whole: bytes, small: Int8, digits: Dataset) -> None:
    again = int8_of(whole, digits, seed=0, max_drop=0.02)

    assert again.content == small.content
    assert without_times(again) == without_times(small)


def test_one_that_loses_more_than_is_allowed_is_refused_and_the_sentence_says_both_accuracies(
    whole: bytes, digits: Dataset
) -> None:
    """Ranges that are read on black images fit no others."""
    black = digits.train.take(np.arange(20))
    dark = replace(digits, train=Images(np.zeros_like(black.pixels), black.labels))
    with pytest.raises(OnnxError, match=r"falls from 0\.\d+ to 0\.\d+, more than --export.max-d"):
        int8_of(whole, dark, seed=0, max_drop=0.01)

    assert int8_of(whole, dark, seed=0, max_drop=1.0).validation.paired.difference < -0.01


def test_the_scheme_that_answers_most_validation_images_right_is_taken(
    network: nn.Module, digits: Dataset
) -> None:
    """A filter whose large weights never show leaves the others no digits of a common scale."""
    dead = nn.Sequential(*network)
    conv = nn.Conv2d(32, 96, 1)
    conv.load_state_dict(dead[3].state_dict())
    with torch.no_grad():
        conv.weight[0], conv.bias[0] = 1e3, -1e6
    dead[3] = conv.eval()
    content = onnx_bytes(dead, normalised(digits.val.take(np.arange(4)), digits))
    for_all, each = Scheme(per_channel=False, dense_bits=7), Scheme(True, 7)
    found = int8_of(content, digits, 0, 0.05, (for_all, each))

    assert found.scheme == each
    with pytest.raises(OnnxError, match="falls from"):
        int8_of(content, digits, 0, 0.05, (for_all,))


def test_what_cannot_be_judged_or_made_gets_a_sentence(whole: bytes, digits: Dataset) -> None:
    few = replace(digits, val=digits.val.some(np.arange(7)))

    with pytest.raises(OnnxError, match="7 validation images to judge it by; wanted 8"):
        int8_of(whole, few, 0, 0.01)
    with pytest.raises(OnnxError, match="images of the run, which are not at hand"):
        int8_of(whole, None, 0, 0.01)
    with pytest.raises(OnnxError, match="onnxruntime cannot make it"):
        int8_of(whole[:1000], digits, 0, 0.01)
