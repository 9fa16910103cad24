"""What the search, the tables and the plan ask of a space, whatever its networks look like."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from raynas.spaces.architecture import Architecture


class Candidate(Protocol):
    """What may be chosen, as tables and plots know it."""

    @property
    def name(self) -> str:
        """A short name, unique among the candidates of its choice."""


class Choice(Protocol):
    """One choice of a space, of whatever kind."""

    @property
    def candidates(self) -> Sequence[Candidate]:
        """What may be chosen, in the order of their indices."""

    @property
    def size(self) -> int:
        """The number of candidates."""

    @property
    def identity(self) -> int | None:
        """The index of the candidate that does nothing, or None where there is none."""


@runtime_checkable
class Space(Protocol):
    """What the search, the tables and the plan ask of a space: layers in a chain, or cells.

    How its networks are built is known to ``raynas.nets``.
    """

    @property
    def name(self) -> str:
        """The name in tables."""

    @property
    def blocks(self) -> Sequence[Choice]:
        """The choices in order; an architecture has an index for each."""

    @property
    def size(self) -> int:
        """The number of architectures."""

    @property
    def num_layers(self) -> int:
        """The number of choices."""

    @property
    def resolution(self) -> int:
        """Height and width in pixels for which the space was made."""

    @property
    def in_channels(self) -> int:
        """Channels of those images."""

    @property
    def num_classes(self) -> int:
        """Classes of that task."""

    @property
    def part(self) -> str:
        """What a network of the space is a sequence of: layer or cell."""

    @property
    def shape_text(self) -> str:
        """How large its networks are, such as ``6 layers``."""

    def part_operations(self, architecture: "Architecture") -> list[str]:
        """Return what each part of a network is: an operation's name, or the kind of a cell."""

    def genotype_text(self, architecture: "Architecture") -> str | None:
        """Return what is in the cells of a network, for people; None: it has none."""

    def with_identity(self, identity: Any) -> "Space":
        """Return the space in which layers may be skipped by an operation that does nothing."""

    def check(self, architecture: Iterable[int]) -> "Architecture":
        """Return the architecture if it lies in the space."""

    def parse(self, text: str) -> "Architecture":
        """Read and check an architecture."""
