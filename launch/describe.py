"""Describe a search space: its layers or cells, its size, what its networks cost.

    python launch/describe.py --space mobilenet_v2
    python launch/describe.py --space nas_bench_macro --architecture 02012100
    python launch/describe.py --space darts_cells --architecture PR_DARTS
    python launch/describe.py --space shufflenet_v2 --architectures FILE --json

Costs are exact: MACs are multiply-adds of one image (papers call them FLOPs); batch norms,
activations and additions count zero. -1 stands for identity wherever a layer may be skipped.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import tyro

from raynas.costs.costs import CostTable, show_quantity
from raynas.errors import UserError
from raynas.nets.cost import cost_table
from raynas.settings.settings import Settings
from raynas.spaces.cells import NONE, CellSpace
from raynas.spaces.chain import ChoiceBlock, SearchSpace
from raynas.spaces.loading import SPACES, load_space
from raynas.spaces.protocol import Space
from raynas.terminal.cli import exit_code, make_console, run_script
from raynas.terminal.text_tables import Column, TextTable
from raynas.training.trained_networks import searched_space


@dataclass(frozen=True)
class Command:
    """Describe a search space: its layers or cells, its size, what its networks cost."""

    space: str = Settings().space
    """A name in search_spaces/ or a path to a Python file with a SPACE."""
    architecture: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """An architecture to cost, such as 3-0-5, or a genotype; give the flag again for more."""
    architectures: Path | None = None
    """A file of architectures to cost, one a line."""
    resolution: int | None = None
    """Height and width of the images in pixels; unset: the space's own."""
    channels: int | None = None
    """Channels of the images; unset: the space's own."""
    classes: int | None = None
    """Classes of the task; unset: the space's own."""
    json: bool = False
    """Print JSON; with architectures, one object a line and nothing else."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    return exit_code(lambda: describe(parse(argv)))


def parse(argv: Sequence[str] | None) -> Command:
    """Return the command."""
    return tyro.cli(Command, args=argv, description=__doc__, config=(tyro.conf.FlagCreatePairsOff,))


def describe(command: Command) -> None:
    """Print what the command asks for."""
    for name in ("resolution", "channels", "classes"):
        number = getattr(command, name)
        if number is not None and number < 1:
            raise UserError(f"--{name}: got {number}, wanted at least 1")
    space = load_space(command.space, SPACES)
    searched = searched_space(space, "path")
    costs = _costs(searched, command)
    rows = [_row(text, searched, costs) for text in _texts(command)]
    if command.json:
        for each in rows or [_summary(space, searched, command)]:
            print(json.dumps(each))
        return
    summary, console = _summary(space, searched, command), make_console()
    for said in _lines(summary) if "layers" in summary else _cell_lines(summary):
        console.print(said, markup=False, soft_wrap=isinstance(said, str))
    for row in rows:
        print("\n".join(_row_lines(row)))


def _costs(space: Space, command: Command) -> CostTable:
    return cost_table(
        space,
        command.resolution or space.resolution,
        command.channels or space.in_channels,
        command.classes or space.num_classes,
    )


def _texts(command: Command) -> Iterator[str]:
    """Yield the architectures of the flags, then those of the file."""
    yield from command.architecture
    if command.architectures is None:
        return
    try:
        lines = command.architectures.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"--architectures {command.architectures}: cannot read it: {error}"
        ) from error
    yield from filter(str.strip, lines)


def _row(text: str, space: Space, costs: CostTable) -> dict[str, Any]:
    architecture = space.parse(text)
    cost = costs.of(architecture)
    row = {"architecture": str(architecture), "macs": cost.macs, "params": cost.params}
    genotype = space.genotype_text(architecture)
    return row | ({"genotype": genotype} if genotype else {})


def _row_lines(row: dict[str, Any]) -> Iterator[str]:
    yield f"{row['architecture']}  {row['macs']:,} MACs  {row['params']:,} parameters"
    if "genotype" in row:
        yield f"    {row['genotype']}"


def _summary(space: Space, searched: Space, command: Command) -> dict[str, Any]:
    costs = _costs(space, command)
    return {
        "space": space.name,
        "input": [
            command.channels or space.in_channels,
            command.resolution or space.resolution,
            command.resolution or space.resolution,
        ],
        "classes": command.classes or space.num_classes,
        **_inside(space, costs),
        "size": space.size,
        **_range(costs),
        "with_identity": {"size": searched.size, **_range(_costs(searched, command))},
    }


def _inside(space: Space, costs: CostTable) -> dict[str, Any]:
    """Return what is in a space of its kind: layers, or cells."""
    if isinstance(space, SearchSpace):
        published = space.published
        return {
            "layers": [_layer(block) for block in space.blocks],
            "published": {
                name: _row(str(space.check(each)), space, costs) for name, each in published
            },
        }
    assert isinstance(space, CellSpace), "there are two kinds of space"
    return {
        "cells": [{"kind": place.kind, "channels": place.channels} for place in space.layout],
        "nodes": [
            {"cell": block.cell, "node": block.node, "candidates": block.size}
            for block in space.blocks
        ],
        "operations": [operation.name for operation in space.operations],
        "genotypes": {name: _row(str(each), space, costs) for name, each in space.genotypes},
    }


def _layer(block: ChoiceBlock) -> dict[str, Any]:
    return {
        "kind": "reduction" if block.is_reduction else "normal",
        "in_channels": block.in_channels,
        "out_channels": block.out_channels,
        "stride": block.stride,
        "candidates": [candidate.name for candidate in block.candidates],
    }


def _range(costs: CostTable) -> dict[str, int]:
    return {
        "min_macs": costs.smallest.macs,
        "max_macs": costs.largest.macs,
        "min_params": costs.smallest.params,
        "max_params": costs.largest.params,
    }


def _lines(summary: dict[str, Any]) -> Iterator[str | TextTable]:
    channels, height, width = summary["input"]
    yield (
        f"{summary['space']}: {len(summary['layers'])} layers, {summary['size']:,} networks, for "
        f"images of {channels} x {height} x {width} and {summary['classes']} classes"
    )
    columns = [
        Column("layer"),
        Column("kind", is_text=True, lesser=1),
        Column("channels", is_text=True, lesser=3),
        Column("stride", lesser=2),
        Column("candidates", folds=True),
    ]
    yield TextTable(columns, [_layer_cells(*each) for each in enumerate(summary["layers"])])
    yield from _range_lines(summary)
    skipping = summary["with_identity"]
    if skipping["size"] > summary["size"]:
        yield f"with identity as the last candidate of normal layers: {skipping['size']:,} networks"
        yield from _range_lines(skipping)
    yield from _published_lines(summary["published"])


def _published_lines(rows: dict[str, Any]) -> Iterator[str]:
    """Yield each published network by its name."""
    for name, row in rows.items():
        first, *genotype = _row_lines(row)
        yield from (f"{name}: {first}", *genotype)


def _layer_cells(index: int, layer: dict[str, Any]) -> list[str]:
    channels = f"{layer['in_channels']} -> {layer['out_channels']}"
    candidates = " ".join(f"{i}:{name}" for i, name in enumerate(layer["candidates"]))
    return [str(index), layer["kind"], channels, str(layer["stride"]), candidates]


def _cell_lines(summary: dict[str, Any]) -> Iterator[str | TextTable]:
    channels, height, width = summary["input"]
    yield (
        f"{summary['space']}: {len(summary['cells'])} cells, {summary['size']:,} networks, for "
        f"images of {channels} x {height} x {width} and {summary['classes']} classes"
    )
    for (kind, wide), alike in groupby(summary["cells"], key=lambda cell: tuple(cell.values())):
        yield f"{len(list(alike)):>3} x {kind:<9}  {wide} channels a node"
    columns = [
        Column("node"),
        Column("cell", is_text=True),
        Column("reads", is_text=True, lesser=1),
        Column("candidates"),
    ]
    cells = [
        [
            str(node["node"]),
            node["cell"],
            f"states 0 to {node['node'] + 1}",
            str(node["candidates"]),
        ]
        for node in summary["nodes"]
    ]
    yield TextTable(columns, cells)
    selectable = [name for name in summary["operations"] if name != NONE]
    yield f"a node adds up two of: {' '.join(selectable)}"
    yield from _range_lines(summary)
    yield from _published_lines(summary["genotypes"])


def _range_lines(costs: dict[str, Any]) -> Iterator[str]:
    for name, unit in (("macs", "MACs"), ("params", "parameters")):
        low, high = costs[f"min_{name}"], costs[f"max_{name}"]
        yield f"{unit}: {low:,} ({show_quantity(low)}) to {high:,} ({show_quantity(high)})"


if __name__ == "__main__":
    run_script(main)
