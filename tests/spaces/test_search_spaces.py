"""What every file of ``search_spaces`` keeps; a new file is tested by existing."""

import ast
import math
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from raynas.costs.costs import Limits
from raynas.nets.cost import cost_table, module_cost
from raynas.nets.frozen import FrozenSupernet
from raynas.nets.initialisation import frozen_supernet
from raynas.nets.isometry import measure_supernet
from raynas.nets.operations import Identity
from raynas.nets.subnet import subnet
from raynas.nets.supernet import Supernet, batch_norms
from raynas.search.constrained_sampling import LegalSampler
from raynas.search.indicators import AdditiveScorer, read_indicators, score_table
from raynas.search.sampling import fair_paths, uniform_paths
from raynas.settings.search import SearchSettings
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import ChoiceBlock, SearchSpace, chain_of
from raynas.spaces.loading import load_space
from tests.builders import (
    SPACES,
    build_images,
    shipped,
    shipped_cells,
    shipped_costs,
    shipped_space,
)

FILES = sorted(SPACES.glob("[!_]*.py"))
NAMES = [file.stem for file in FILES]
CHAINS = [name for name in NAMES if isinstance(shipped(name), SearchSpace)]

every_space = pytest.mark.parametrize("name", NAMES)
every_chain = pytest.mark.parametrize("name", CHAINS)
every_space_of_cells = pytest.mark.parametrize("name", [n for n in NAMES if n not in CHAINS])


def docstring(name: str) -> str:
    """Return the docstring of a space's file."""
    return ast.get_docstring(ast.parse((SPACES / f"{name}.py").read_text(encoding="utf-8"))) or ""


def test_there_are_spaces_to_test() -> None:
    assert {"mobilenet_v2", "shufflenet_v2", "nas_bench_macro"} <= set(CHAINS)
    assert {"darts_cells", "darts_cells_small", "darts_cells_imagenet"} <= set(NAMES) - set(CHAINS)


@every_space
def test_a_space_is_named_like_its_file(name: str) -> None:
    assert shipped(name).name == name


@every_space
def test_the_file_states_the_size_of_its_space(name: str) -> None:
    """For example 6^20: choices, layers; or a product of such powers."""
    stated = re.search(r"\d+\^\d+( x \d+\^\d+)*", docstring(name))
    assert stated is not None
    powers = [map(int, power.split("^")) for power in stated[0].split(" x ")]

    assert math.prod(base**exponent for base, exponent in powers) == shipped(name).size


@every_space
def test_a_space_is_a_value_that_survives_pickling(name: str) -> None:
    space = shipped(name)
    copy = pickle.loads(pickle.dumps(space))  # noqa: S301 - our own pickle

    assert copy == space
    assert hash(copy) == hash(space)


@every_chain
def test_every_candidate_of_a_layer_makes_the_shape_that_the_layer_promises(name: str) -> None:
    space = shipped_space(name, identity=True)
    side = min(space.resolution, 32)
    x = space.stem.build(space.in_channels)(build_images(2, space.in_channels, side))
    tried: set[tuple[ChoiceBlock, torch.Size]] = set()
    for block in space.blocks:
        if (block, x.shape) in tried:
            continue  # layers of a stage repeat: equal blocks build equal modules
        tried.add((block, x.shape))
        assert x.shape[1] == block.in_channels
        pixels = -(-x.shape[2] // block.stride)
        outputs = [
            operation.build(block.in_channels, block.out_channels, block.stride)(x)
            for operation in block.candidates
        ]
        assert {y.shape for y in outputs} == {(2, block.out_channels, pixels, pixels)}
        x = outputs[0].detach()
    logits = space.head.build(space.blocks[-1].out_channels, space.num_classes)(x)

    assert logits.shape == (2, space.num_classes)


@every_chain
def test_every_candidate_has_a_batch_norm_to_read_unless_it_is_a_fixed_identity(name: str) -> None:
    space = shipped_space(name, identity=True)
    with torch.device("meta"):
        supernet = Supernet(space, space.in_channels, space.num_classes)
        frozen = FrozenSupernet(supernet, "last_bn", train_classifier=False)
    marked = {(s.layer, s.candidate) for s in frozen.segments if s.is_indicator}
    expected = {
        (layer, choice)
        for layer, block in enumerate(space.blocks)
        for choice in range(block.size)
        if block.size > 1 or choice != block.identity
    }

    assert marked == expected


@pytest.mark.slow
@every_chain
def test_a_path_leads_through_the_supernet_at_full_resolution(name: str) -> None:
    space = shipped_space(name, identity=True)
    with torch.device("meta"), torch.no_grad():
        supernet = Supernet(space, space.in_channels, space.num_classes)
        images = torch.empty(2, space.in_channels, space.resolution, space.resolution)
        (path,) = uniform_paths([block.size for block in space.blocks], 0, 0)

        assert supernet(images, path).shape == (2, space.num_classes)


@pytest.mark.slow
@every_space
def test_a_stand_alone_network_costs_what_the_additive_table_says(name: str) -> None:
    space = shipped(name)
    (path,) = uniform_paths([block.size for block in space.blocks], seed=1, step=0)
    with torch.device("meta"):
        network = subnet(space, path, space.in_channels, space.num_classes)
        images = torch.empty(1, space.in_channels, space.resolution, space.resolution)
        cost = module_cost(network, images)

    assert cost == shipped_costs(name).of(path)


@every_space_of_cells
def test_every_operation_makes_the_shape_that_a_cell_wants_also_of_odd_sides(name: str) -> None:
    for operation in shipped_cells(name).operations:
        for side, stride in ((8, 1), (7, 1), (8, 2), (7, 2)):
            made = operation.build(6, 6, stride)(build_images(2, 6, side))
            assert made.shape == (2, 6, -(-side // stride), -(-side // stride))


@every_space_of_cells
def test_a_genotype_leads_through_a_network_at_full_resolution(name: str) -> None:
    space = shipped_cells(name)
    (path,) = uniform_paths([block.size for block in space.blocks], 0, 0)
    with torch.device("meta"), torch.no_grad():
        network = subnet(space, path, space.in_channels, space.num_classes)
        images = torch.empty(2, space.in_channels, space.resolution, space.resolution)

        assert network(images).shape == (2, space.num_classes)


@every_space
def test_a_space_imports_values_and_operations_only(name: str) -> None:
    tree = ast.parse((SPACES / f"{name}.py").read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    allowed = {
        "dataclasses",
        "torch",
        "raynas.spaces.chain",
        "raynas.spaces.cells",
        "raynas.spaces.genotype",
        "raynas.spaces.published",
        "raynas.nets.stems_heads",
        "raynas.nets.operations",
        "raynas.nets.activations",
        "raynas.nets.inverted_residual",
        "raynas.nets.member_stages",
        "raynas.nets.squeeze_excitation",
        "raynas.nets.cell_operations",
    }

    assert imported <= allowed


OWN_FILE = '''"""A person's own space, with an operation of its own: 2^3 networks."""

from dataclasses import dataclass

from torch import nn

from raynas.nets.stems_heads import ConvStem, PooledHead
from raynas.nets.operations import MBConv
from raynas.spaces.chain import ChoiceBlock, SearchSpace


@dataclass(frozen=True)
class Dilated:
    """A dilated convolution."""

    dilation: int

    @property
    def name(self) -> str:
        return f"dilated{self.dilation}"

    def build(self, in_channels: int, out_channels: int, stride: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(
                in_channels, out_channels, 3, stride, self.dilation, self.dilation, bias=False
            ),
            nn.Tanh(),
            nn.BatchNorm2d(out_channels),
        )


CANDIDATES = (Dilated(2), MBConv(3, 2))

SPACE = SearchSpace(
    name="own",
    stem=ConvStem(out_channels=4, stride=1),
    blocks=(
        ChoiceBlock(CANDIDATES, 4, 6, stride=2),
        ChoiceBlock(CANDIDATES, 6, 6, stride=1),
        ChoiceBlock(CANDIDATES, 6, 6, stride=1),
    ),
    head=PooledHead(width=8),
    resolution=8,
    in_channels=1,
    num_classes=3,
)
'''


@pytest.fixture
def own_space(tmp_path: Path) -> SearchSpace:
    file = tmp_path / "own.py"
    file.write_text(OWN_FILE, encoding="utf-8")
    return chain_of(load_space(str(file), SPACES), "this test").with_identity(Identity())


def test_a_persons_own_operation_goes_the_whole_way_from_supernet_to_subnet(
    own_space: SearchSpace,
) -> None:
    space = own_space
    supernet = frozen_supernet(space, 1, 3, "path", "qr", seed=0)
    frozen = FrozenSupernet(supernet, "last_bn", train_classifier=True)
    images = build_images(2, 1)
    for path in fair_paths([block.size for block in space.blocks], 0, 0):
        torch.autograd.backward(supernet(images, path).sum())
    measured = measure_supernet(supernet, seed=0)
    importance = np.ones((3, 3))
    indicators = read_indicators(
        frozen.segments, frozen.vector.numpy(), space, importance, importance
    )
    scorer = AdditiveScorer(score_table(indicators, space, SearchSettings(score="saliency")))
    costs = cost_table(space, 8, 1, 3)
    best = LegalSampler(costs, Limits(max_macs=costs.smallest.macs)).draw(np.random.default_rng(0))

    assert space.size == 2 * 3 * 3
    assert all(p.grad is not None for p in supernet.parameters() if p.requires_grad)
    assert len(measured) == 8
    assert costs.macs[0] == (16 * 9 * 4 * 6, 16 * 8 * (9 + 6) + 64 * 8 * 4)
    assert best is not None
    assert np.isfinite(scorer([best])).all()
    assert subnet(space, best, 1, 3)(images).shape == (2, 3)


def test_a_persons_own_space_survives_pickling(own_space: SearchSpace) -> None:
    assert pickle.loads(pickle.dumps(own_space)) == own_space  # noqa: S301 - our own pickle


def test_the_published_bn_nas_architecture_parses_to_the_fixed_identities() -> None:
    space = shipped_space("mobilenet_v2_bnnas")
    text = "3 -1 0 4 0 -1 -1 0 4 -1 4 4 1 4 2 0 0 4 0 2 2"
    architecture = space.parse(text)

    assert architecture == space.parse(str(architecture))
    assert [layer for layer, block in enumerate(space.blocks) if block.size == 1] == [1, 5, 6, 9]
    assert isinstance(architecture, Architecture)


def test_batch_norms_of_the_shuffle_space_keep_a_scale_to_read() -> None:
    """In the published SPOS supernet they have none (3.2)."""
    space = shipped_space("shufflenet_v2")
    with torch.device("meta"):
        norms = batch_norms(Supernet(space, 3, 1000))

    assert norms
    assert all(norm.affine for norm in norms)
