"""Spaces whose layers stand in a chain, as values: operations and choice blocks.

Source: SPOS (single-path choice blocks) and the paper's section 3; tables of layers as in
BN-NAS. A space is data: it is described, costed and sampled without building a network.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from raynas.errors import UserError
from raynas.spaces.architecture import Architecture
from raynas.spaces.protocol import Space

if TYPE_CHECKING:
    from torch import nn

IDENTITY = "identity"
"""The name of the operation that passes its input on; only normal layers can hold it."""


class Operation(Protocol):
    """One option of a choice block; implement it as a frozen dataclass.

    The module that ``build`` returns maps N x in_channels x H x W to
    N x out_channels x ceil(H / stride) x ceil(W / stride). The batch norm that it registers
    *last* is the one whose scale the block indicator reads.
    """

    def __hash__(self) -> int: ...

    @property
    def name(self) -> str:
        """A short name, unique within its choice block, for tables and plots."""

    def build(self, in_channels: int, out_channels: int, stride: int) -> "nn.Module":
        """Return a new module with weights of its own."""


class Stem(Protocol):
    """The fixed part before the first choice block."""

    @property
    def out_channels(self) -> int:
        """The number of channels that the first choice block receives."""

    def build(self, in_channels: int) -> "nn.Module":
        """Return a new module for images of ``in_channels`` channels."""


@runtime_checkable
class PairStem(Protocol):
    """A fixed part before cells that makes both of their states, the second half as large."""

    @property
    def out_channels(self) -> int:
        """The number of channels of either state."""

    def build_states(self, in_channels: int) -> "nn.Module":
        """Return a new module that maps images to two states, the larger one first."""


class Head(Protocol):
    """The fixed part after the last choice block: features to logits."""

    def build(self, in_channels: int, num_classes: int) -> "nn.Module":
        """Return a new module that maps N x in_channels x H x W to N x num_classes."""


@dataclass(frozen=True)
class ChoiceBlock:
    """One searchable layer: its candidate operations and its shape.

    Attributes:
        candidates: The operations to choose from, in the order of their indices.
        in_channels: Channels that arrive.
        out_channels: Channels that leave, whichever candidate is chosen.
        stride: 1 or 2, whichever candidate is chosen.
    """

    candidates: tuple[Operation, ...]
    in_channels: int
    out_channels: int
    stride: int

    def __post_init__(self) -> None:
        names = [candidate.name for candidate in self.candidates]
        if not names:
            raise UserError("choice block: got no candidates, wanted at least one operation")
        if len(set(names)) < len(names):
            raise UserError(f"choice block: candidates share a name: {', '.join(names)}")
        if any(type(candidate).__hash__ is None for candidate in self.candidates):
            raise UserError(
                f"choice block: an operation of {', '.join(names)} is not a value that can be "
                "compared; write it as a @dataclass(frozen=True)"
            )
        if self.is_reduction and IDENTITY in names:
            raise UserError(
                f"choice block: identity cannot turn {self.in_channels} channels into "
                f"{self.out_channels} at stride {self.stride}; leave it out of reduction layers"
            )

    @property
    def is_reduction(self) -> bool:
        """Whether the layer changes resolution or width, so that identity is impossible."""
        return self.stride != 1 or self.in_channels != self.out_channels

    @property
    def identity(self) -> int | None:
        """The index of the identity candidate, or None where there is none."""
        names = [candidate.name for candidate in self.candidates]
        return names.index(IDENTITY) if IDENTITY in names else None

    @property
    def size(self) -> int:
        """The number of candidates."""
        return len(self.candidates)


@dataclass(frozen=True)
class SearchSpace:
    """All architectures that one may pick, as a table of choice blocks.

    Attributes:
        name: The name in tables.
        stem: The fixed part before the blocks.
        blocks: The searchable layers in order.
        head: The fixed part after them.
        resolution: Height and width in pixels for which the space was made.
        in_channels: Channels of those images.
        num_classes: Classes of that task.
        published: Architectures by name, which ``parse`` takes.
    """

    name: str
    stem: Stem
    blocks: tuple[ChoiceBlock, ...]
    head: Head
    resolution: int
    in_channels: int = 3
    num_classes: int = 10
    published: tuple[tuple[str, tuple[int, ...]], ...] = ()

    def __post_init__(self) -> None:
        if not self.blocks:
            raise UserError(f"search space {self.name}: got no blocks, wanted at least one")
        widths = [self.stem.out_channels, *(block.out_channels for block in self.blocks)]
        for layer, (width, block) in enumerate(zip(widths, self.blocks, strict=False)):
            if block.in_channels != width:
                raise UserError(
                    f"search space {self.name}, layer {layer}: it takes {block.in_channels} "
                    f"channels, but {width} arrive; make the two equal"
                )

    @property
    def size(self) -> int:
        """The number of architectures."""
        return math.prod(block.size for block in self.blocks)

    @property
    def num_layers(self) -> int:
        """The number of searchable layers."""
        return len(self.blocks)

    @property
    def stages(self) -> tuple[int, ...]:
        """The stage of each layer: a reduction layer opens a stage."""
        opened = [block.is_reduction or layer == 0 for layer, block in enumerate(self.blocks)]
        return tuple(sum(opened[: layer + 1]) - 1 for layer in range(self.num_layers))

    @property
    def part(self) -> str:
        """What a network is a sequence of."""
        return "layer"

    @property
    def shape_text(self) -> str:
        """How large its networks are."""
        return f"{self.num_layers} layers"

    def part_operations(self, architecture: Architecture) -> list[str]:
        """Return the name of the operation of each layer."""
        chosen = zip(self.blocks, architecture, strict=True)
        return [block.candidates[choice].name for block, choice in chosen]

    def genotype_text(self, architecture: Architecture) -> None:
        """Return None: a chain has no cells."""
        del architecture

    def with_identity(self, identity: Operation) -> "SearchSpace":
        """Return the space in which every normal layer with a choice may be skipped.

        A layer with one candidate (BN-NAS's fixed identities) stays as it is.
        """

        def extend(block: ChoiceBlock) -> ChoiceBlock:
            if block.is_reduction or block.identity is not None or block.size == 1:
                return block
            return replace(block, candidates=(*block.candidates, identity))

        return replace(self, blocks=tuple(map(extend, self.blocks)))

    def check(self, architecture: Iterable[int]) -> Architecture:
        """Return the architecture if it lies in the space; -1 becomes the identity's index.

        Raises:
            UserError: A wrong number of layers, or an index that a layer does not have.
        """
        choices = tuple(architecture)
        if len(choices) != self.num_layers:
            raise UserError(
                f"architecture {Architecture(choices)}: got {len(choices)} layers, "
                f"but {self.name} has {self.num_layers}"
            )
        return Architecture(
            self._choice(layer, block, choice)
            for layer, (block, choice) in enumerate(zip(self.blocks, choices, strict=True))
        )

    def _choice(self, layer: int, block: ChoiceBlock, choice: int) -> int:
        if choice == -1 and block.identity is not None:
            return block.identity
        if not 0 <= choice < block.size:
            wanted = f"0 to {block.size - 1}" + (", or -1" if block.identity is not None else "")
            raise UserError(f"{self.name}, layer {layer}: got candidate {choice}, wanted {wanted}")
        return choice

    def parse(self, text: str) -> Architecture:
        """Read and check an architecture; ``02012100`` works where indices have one digit.

        The name of a published one stands for it.

        Raises:
            UserError: The text is malformed or names an architecture outside the space.
        """
        digits = text.strip()
        if digits in dict(self.published):
            return self.check(dict(self.published)[digits])
        if digits.isascii() and digits.isdigit() and len(digits) == self.num_layers > 1:
            return self.check(map(int, digits))
        return self.check(Architecture.parse(text))


def chain_of(space: Space, wanted_for: str) -> SearchSpace:
    """Return a space whose layers stand in a chain as what it is.

    Args:
        space: Any space.
        wanted_for: What needs a chain, for the message.

    Raises:
        UserError: Its networks are no chains.
    """
    if isinstance(space, SearchSpace):
        return space
    raise UserError(
        f"{wanted_for}: it needs a space whose layers stand in a chain, such as small_mobile or "
        f"mobilenet_v2, but {space.name} is one of cells; take another --space"
    )
