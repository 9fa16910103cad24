"""Runs with a trained network, made without Ray, and photographs to look at with it."""

import io
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np
import safetensors.torch
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import nn

from raynas.data.dataset import Dataset
from raynas.nets.cost import cost_table
from raynas.nets.inverted_residual import InvertedResidual
from raynas.nets.operations import Identity, MBConv
from raynas.nets.squeeze_excitation import SqueezeExcitation
from raynas.nets.stems_heads import ConvStem, PooledHead, TwoLayerHead
from raynas.nets.subnet import subnet
from raynas.recording.outcomes import Outcomes, TrialEnd
from raynas.recording.rows import run_row
from raynas.settings.settings import Settings
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import ChoiceBlock, SearchSpace
from raynas.spaces.protocol import Space
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.run_store import RunStore
from tests.data.samples import build_dataset

SHIPPED = {
    "small_mobile": "0-4-2-3-1-4",
    "mobilenet_v2": "0-6-5-1-2-6-4-3-5-0-6-6-1-2-3-4-5-6-0-1",
    "mobilenet_v2_bnnas": "3,-1,0,4,0,-1,-1,0,4,-1,4,4,1,4,2,0,0,4,0,2,2",
    "shufflenet_v2": "2-4-0-1-2-0-3-0-2-4-2-3-0-0-0-0-3-2-3-3",
    "nas_bench_macro": "02012100",
    "mobilenet_v3_small": "mobilenet_v3_small",
    "darts_cells_small": (
        "normal: sep3(1) skip_connect(1) | sep5(0) sep3(1) | avgpool3(2) maxpool3(3) | "
        "dil3(1) dil5(4); reduction: skip_connect(0) sep3(1) | maxpool3(0) skip_connect(1) | "
        "dil3(0) dil5(2) | avgpool3(0) skip_connect(3)"
    ),
    "darts_cells_imagenet": "DARTS_V2",
}
"""An architecture of each kind of shipped space with identity, identities among its layers."""

_LITE = tuple(
    MBConv(kernel, expansion, "relu6", "same", 1e-3) for kernel in (3, 5) for expansion in (1, 4)
)
LITE = SearchSpace(
    name="lite",
    stem=ConvStem(8, 2, "relu6", "same", 1e-3),
    blocks=(
        ChoiceBlock(_LITE, 8, 6, 1),
        ChoiceBlock(_LITE, 6, 10, 2),
        ChoiceBlock((*_LITE, Identity()), 10, 10, 1),
        ChoiceBlock(_LITE, 10, 12, 2),
    ),
    head=PooledHead(16, "relu6", epsilon=1e-3),
    resolution=33,
    num_classes=3,
)
"""Padding, batch norms and activations as those of EfficientNet-Lite, at odd sides, too."""

_SQUEEZED = (
    InvertedResidual(3, 8, "hard_swish", SqueezeExcitation(4, "relu", "hard_sigmoid")),
    InvertedResidual(5, 12, "silu", SqueezeExcitation(3, "silu", "sigmoid"), "same", 1e-3),
)
SQUEEZED = SearchSpace(
    name="squeezed",
    stem=ConvStem(8, 2, "hard_swish", epsilon=1e-3),
    blocks=(
        ChoiceBlock(_SQUEEZED, 8, 8, 1),
        ChoiceBlock(_SQUEEZED, 8, 10, 2),
        ChoiceBlock((*_SQUEEZED, Identity()), 10, 10, 1),
    ),
    head=TwoLayerHead(16, 12),
    resolution=33,
    num_classes=3,
)
"""Squeeze-excitations and smooth activations as those of MobileNetV3 and EfficientNet."""


@cache
def photographs() -> tuple[Image.Image, ...]:
    """Return two real photographs, which scikit-learn ships, 640 x 427 pixels."""
    return tuple(Image.fromarray(pixels) for pixels in load_sample_images().images)


@cache
def crops(count: int, side: int) -> torch.Tensor:
    """Return pieces of the photographs, N x 3 x side x side, of mean 0 and variance 1."""
    rng = np.random.default_rng(0)
    pieces = []
    for number in range(count):
        whole = np.asarray(photographs()[number % 2], dtype=np.float32)
        y, x = rng.integers(whole.shape[0] - 4 * side), rng.integers(whole.shape[1] - 4 * side)
        pieces.append(whole[y : y + 4 * side : 4, x : x + 4 * side : 4].transpose(2, 0, 1))
    pixels = torch.from_numpy(np.stack(pieces))
    return (pixels - pixels.mean()) / pixels.std()


def trained_network(
    space: Space, architecture: Architecture, images: torch.Tensor, classes: int
) -> nn.Sequential:
    """Return a network in eval mode whose batch norms have seen the images: logits near 1."""
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(0)
        network = subnet(space, architecture, images.shape[1], classes)
    with torch.no_grad():
        for part in network.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.momentum = 0.5
                part.weight.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(1))
        for _ in range(4):
            network.train()(images)
        logits = network.eval()(images)
        linear = [part for part in network.modules() if isinstance(part, nn.Linear)][-1]
        linear.weight.mul_(2 / float(logits.std()))
    return network


def build_run(
    uri: str,
    space: Space,
    architectures: Sequence[str],
    dataset: Dataset | None = None,
    stopped: Sequence[str] = (),
    space_digest: str | None = None,
    **settings: Any,
) -> RunStore:
    """Write a run folder whose networks were trained to the end, but for those stopped."""
    dataset = dataset or named_dataset()
    store = RunStore.create(uri)
    chosen = Settings(space=space.name, **settings)
    facts = PlanFacts(
        classes=dataset.class_names,
        channels=dataset.channels,
        resolution=dataset.resolution,
        train=len(dataset.train),
        val=len(dataset.val),
        test=len(dataset.test),
        class_counts=dataset.class_counts,
        mean=dataset.mean.tolist(),
        std=dataset.std.tolist(),
        space_digest=space_digest,
    )
    row = run_row(store.name, chosen, facts) | {"started": datetime(2026, 3, 1, tzinfo=UTC)}
    store.append("runs", [row], "run")
    costs = cost_table(space, dataset.resolution, dataset.channels, dataset.num_classes)
    outcomes = Outcomes(store, costs, space=space)
    images = torch.from_numpy(dataset.val.take(np.arange(len(dataset.val))).pixels) / 255
    for text in architectures:
        network = trained_network(space, Architecture.parse(text), images, dataset.num_classes)
        path = f"models/{text}.safetensors"
        store.write_bytes(path, safetensors.torch.save(network.state_dict()))
        end = TrialEnd(text, 3, 0.75, 0.875, "finished", None, path, 0.7, 0.8, len(dataset.test))
        outcomes.add(end, lambda _: 1.0)
    for text in stopped:
        outcomes.add(TrialEnd(text, 1, 0.5, None, "stopped"), lambda _: 0.5)
    return store


def named_dataset() -> Dataset:
    """Return a small data set of grey images whose class names are a nuisance to quote."""
    names = ('a "quoted" name', "a|pipe", "back\\slash")
    return replace(build_dataset(channels=1), class_names=names)


def as_file(image: Image.Image, kind: str, **saving: Any) -> Image.Image:
    """Return an image as ``Image.open`` returns it from a file."""
    stream = io.BytesIO()
    image.save(stream, kind, **saving)
    return Image.open(io.BytesIO(stream.getvalue()))
