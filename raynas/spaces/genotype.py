"""Genotypes: what is inside a cell, in the form that people read and publish.

A node of a cell adds up two operations on earlier states; states 0 and 1 are the outputs of the
two cells before, state 2 is the first node. Source: DARTS (Liu et al. 2019, arXiv 1806.09055).
"""

import ast
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from raynas.errors import UserError

_FORM = "normal: sep3(0) skip_connect(1) | ...; reduction: maxpool3(0) sep5(1) | ..."
_PUBLISHED = {
    "sep_conv_3x3": "sep3",
    "sep_conv_5x5": "sep5",
    "dil_conv_3x3": "dil3",
    "dil_conv_5x5": "dil5",
    "avg_pool_3x3": "avgpool3",
    "max_pool_3x3": "maxpool3",
}


class Input(NamedTuple):
    """One of the two inputs of a node; its text form is ``sep3(0)``.

    Attributes:
        source: The state that is read.
        operation: The name of the operation on it.
    """

    source: int
    operation: str

    def __str__(self) -> str:
        return f"{self.operation}({self.source})"


Node = tuple[Input, Input]


@dataclass(frozen=True)
class Genotype:
    """The nodes of both kinds of cell; a value.

    A node is a sum, so the order of its inputs means nothing: they are kept sorted by source and
    name, and genotypes that differ in that order alone are equal.

    Attributes:
        normal: The nodes of the cells that keep the resolution.
        reduction: The nodes of the cells that halve it.
    """

    normal: tuple[Node, ...]
    reduction: tuple[Node, ...]

    def __post_init__(self) -> None:
        for cell in ("normal", "reduction"):
            nodes = tuple((min(node), max(node)) for node in getattr(self, cell))
            object.__setattr__(self, cell, nodes)  # frozen

    def __str__(self) -> str:
        return f"normal: {show_nodes(self.normal)}; reduction: {show_nodes(self.reduction)}"

    @classmethod
    def parse(cls, text: str) -> "Genotype":
        """Read the text form, or ``Genotype(normal=[('sep_conv_3x3', 0), ...], ...)``.

        The second one is the form in which DARTS and its successors print and publish genotypes.

        Raises:
            UserError: The text is neither.
        """
        if text.strip().startswith("Genotype("):
            return _published(text)
        found = re.fullmatch(r"\s*normal:(.*?);\s*reduc(?:tion|e):(.*)", text, re.DOTALL)
        if not found:
            raise UserError(f"genotype {text!r}: wanted {_FORM}")
        return cls(_cell(found[1]), _cell(found[2]))


def show_nodes(nodes: Iterable[Node]) -> str:
    """Return the text form of a cell's nodes."""
    return " | ".join(f"{first} {second}" for first, second in nodes)


def _cell(text: str) -> tuple[Node, ...]:
    return tuple(_node(part) for part in text.split("|"))


def _node(text: str) -> Node:
    names = re.fullmatch(r"\s*([^\s()]+)\((\d+)\)\s*\+?\s*([^\s()]+)\((\d+)\)\s*", text)
    if not names:
        raise UserError(
            f"genotype: node {text.strip()!r} is not two inputs such as sep3(0) skip_connect(1); "
            f"wanted {_FORM}"
        )
    return Input(int(names[2]), names[1]), Input(int(names[4]), names[3])


def _published(text: str) -> Genotype:
    """Read the repr of DARTS' named tuple; nothing is executed."""
    try:
        call = ast.parse(text.strip(), mode="eval").body
        assert isinstance(call, ast.Call)
        given = {pair.arg: pair.value for pair in call.keywords}
        cells = [ast.literal_eval(given[name]) for name in ("normal", "reduce")]
        normal, reduction = (
            [Input(int(source), _PUBLISHED.get(name, str(name))) for name, source in cell]
            for cell in cells
        )
    except (SyntaxError, ValueError, TypeError, KeyError, AssertionError) as error:
        raise UserError(
            f"genotype {text!r}: wanted Genotype(normal=[('sep_conv_3x3', 0), ...], "
            f"reduce=[...]), or {_FORM}"
        ) from error
    return Genotype(_paired(normal), _paired(reduction))


def _paired(inputs: Sequence[Input]) -> tuple[Node, ...]:
    if len(inputs) % 2:
        raise UserError(f"genotype: got {len(inputs)} inputs in a cell, wanted two for each node")
    return tuple(zip(inputs[::2], inputs[1::2], strict=True))
