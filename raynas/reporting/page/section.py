"""A section of the page: words, figures, tables and pictures under a heading."""

from dataclasses import dataclass, field

from raynas.reporting.page.embedding import PageFigure
from raynas.reporting.page.parts import Picture, Table


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        name: Its anchor.
        title: Its heading.
        lead: A sentence or two that say what it holds.
        notes: Further sentences.
        figures: Its figures.
        tables: Its tables.
        is_open: Whether its tables are seen at once; otherwise a click opens them.
        look: Classes of the style sheet for its tables.
        pictures: Small pictures, before the tables.
        is_empty: Whether the run has recorded nothing of it, or not yet.
    """

    name: str
    title: str
    lead: str = ""
    notes: list[str] = field(default_factory=list)
    figures: list[PageFigure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    is_open: bool = False
    look: str = ""
    pictures: list[Picture] = field(default_factory=list)
    is_empty: bool = False
