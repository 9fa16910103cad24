"""Describe a search space: its layers, its size, what its networks cost.

    python launch/describe.py --space mobilenet_v2
    python launch/describe.py --space nas_bench_macro --architecture 02012100
    python launch/describe.py --space shufflenet_v2 --architectures FILE --json

Costs are exact: MACs are multiply-adds of one image (papers call them FLOPs); batch norms,
activations and additions count zero. -1 stands for identity wherever a layer may be skipped.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from raynas.costs import CostTable, show_quantity
from raynas.errors import UserError
from raynas.nets.cost import cost_table
from raynas.nets.operations import Identity
from raynas.settings import Settings
from raynas.space import ChoiceBlock, SearchSpace, load_space

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Command:
    """Describe a search space: its layers, its size, what its networks cost."""

    space: str = Settings().space
    """A name in search_spaces/ or a path to a Python file with a SPACE."""
    architecture: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """An architecture to cost, such as 3-0-5; give the flag again for more."""
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
    command = tyro.cli(
        Command, args=argv, description=__doc__,
        config=(tyro.conf.FlagCreatePairsOff,),
    )  # fmt: skip
    try:
        describe(command)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def describe(command: Command) -> None:
    """Print what the command asks for."""
    for name in ("resolution", "channels", "classes"):
        number = getattr(command, name)
        if number is not None and number < 1:
            raise UserError(f"--{name}: got {number}, wanted at least 1")
    space = load_space(command.space, ROOT / "search_spaces")
    skippable = space.with_identity(Identity())
    costs = _costs(skippable, command)
    rows = [_row(text, skippable, costs) for text in _texts(command)]
    if command.json:
        for each in rows or [_summary(space, skippable, command)]:
            print(json.dumps(each))
        return
    for line in _lines(_summary(space, skippable, command)):
        print(line)
    for row in rows:
        print(f"{row['architecture']}  {row['macs']:,} MACs  {row['params']:,} parameters")


def _costs(space: SearchSpace, command: Command) -> CostTable:
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
        lines = command.architectures.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"--architectures {command.architectures}: cannot read it: {error}"
        ) from error
    yield from filter(str.strip, lines)


def _row(text: str, space: SearchSpace, costs: CostTable) -> dict[str, Any]:
    architecture = space.parse(text)
    cost = costs.of(architecture)
    return {"architecture": str(architecture), "macs": cost.macs, "params": cost.params}


def _summary(space: SearchSpace, skippable: SearchSpace, command: Command) -> dict[str, Any]:
    costs, with_identity = _costs(space, command), _costs(skippable, command)
    return {
        "space": space.name,
        "input": [
            command.channels or space.in_channels,
            command.resolution or space.resolution,
            command.resolution or space.resolution,
        ],
        "classes": command.classes or space.num_classes,
        "layers": [_layer(block) for block in space.blocks],
        "size": space.size,
        **_range(costs),
        "with_identity": {"size": skippable.size, **_range(with_identity)},
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


def _lines(summary: dict[str, Any]) -> Iterator[str]:
    channels, height, width = summary["input"]
    yield (
        f"{summary['space']}: {len(summary['layers'])} layers, {summary['size']:,} networks, for "
        f"images of {channels} x {height} x {width} and {summary['classes']} classes"
    )
    yield "layer  kind       channels      stride  candidates"
    for index, layer in enumerate(summary["layers"]):
        channels = f"{layer['in_channels']} -> {layer['out_channels']}"
        yield (
            f"{index:>5}  {layer['kind']:<9}  {channels:<12}  {layer['stride']:>6}  "
            f"{' '.join(f'{i}:{name}' for i, name in enumerate(layer['candidates']))}"
        )
    yield from _range_lines(summary)
    skipping = summary["with_identity"]
    if skipping["size"] > summary["size"]:
        yield f"with identity as the last candidate of normal layers: {skipping['size']:,} networks"
        yield from _range_lines(skipping)


def _range_lines(costs: dict[str, Any]) -> Iterator[str]:
    for name, unit in (("macs", "MACs"), ("params", "parameters")):
        low, high = costs[f"min_{name}"], costs[f"max_{name}"]
        yield f"{unit}: {low:,} ({show_quantity(low)}) to {high:,} ({show_quantity(high)})"


if __name__ == "__main__":
    sys.exit(main())
