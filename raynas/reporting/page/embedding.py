"""Figures in the page: matplotlib's SVG as images, for a desk and for a phone, light and dark.

An image asks for nothing, runs nothing and keeps its look under a strict content security policy.
Its colours of ink change by a style sheet inside the SVG where the reader prefers dark pages.
"""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from raynas.reporting import plot_style

WIDE, HALF, NARROW = 8.75, 3.9, 3.4  # inches: across a desk's page, half of it, a phone
_PIXELS = 96  # CSS pixels of an inch
_LETTER, _KEY, _LINE = 0.072, 0.62, 0.19  # inches of the legend: a letter, a key, a line's height
_DARK = {
    plot_style.BLACK: "#e8eaed",
    plot_style.GREY: "#a5adb8",
    plot_style.FAINT: "#4a515b",
    plot_style.GRID: "#2a3037",
    plot_style.PAPER: "#1b1f23",
    plot_style.BLUE: "#4aa3e0",
    plot_style.VERMILION: "#f08a4b",
}
_DARK_STYLE = "".join(
    f'[style*="{of}: {light.lower()}"]{{{of}:{dark}!important}}'
    for light, dark in _DARK.items()
    for of in ("fill", "stroke")
)
_STYLE = (
    "@media screen and (prefers-color-scheme:dark){"
    f"svg{{fill:{_DARK[plot_style.BLACK]}}}{_DARK_STYLE}}}"  # black fillings are not written
)
_LOOK: dict[Any, Any] = {
    "svg.fonttype": "none",  # text is text, and small
    "font.family": "sans-serif",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.facecolor": "none",
}


@dataclass(frozen=True)
class PageFigure:
    """A figure of the page.

    Attributes:
        title: Above it.
        sentence: What it shows in numbers, below it.
        alt: What those are told who do not see it.
        image: A data URI of SVG, for a desk and for print.
        narrow: One for a phone; None: one size does for both, half a desk's page.
        size: Width and height of ``image`` in CSS pixels.
    """

    title: str
    sentence: str
    alt: str
    image: str
    narrow: str | None
    size: tuple[int, int]


def page_figure(  # noqa: PLR0913 - what is drawn, and what is said of it
    title: str,
    alt: str,
    sentence: str,
    draw: Callable[[Axes], object],
    *,
    entries: Sequence[Line2D] = (),
    height: float = 3.0,
    is_half: bool = False,
) -> PageFigure:
    """Draw a figure across the page, once for a desk and once for a phone.

    Args:
        title: Above it.
        alt: What those are told who do not see it.
        sentence: What it shows in numbers.
        draw: Draws on axes.
        entries: The legend; unset: what is drawn with a label.
        height: Inches without the legend.
        is_half: Whether it has a neighbour on a desk; then one size does for both.
    """
    image, size = _embedded(draw, entries, HALF if is_half else WIDE, height)
    narrow = None if is_half else _embedded(draw, entries, NARROW, height)[0]
    return PageFigure(title, sentence, alt, image, narrow, size)


@plot_style.drawing
def _embedded(
    draw: Callable[[Axes], object], entries: Sequence[Line2D], width: float, height: float
) -> tuple[str, tuple[int, int]]:
    """Return a figure as a data URI, and its size in CSS pixels."""
    with mpl.rc_context(_LOOK):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure.subplots())
        _add_legend(figure, entries, width, height)
        svg = plot_style.rendered(figure, "svg").decode()
    svg = svg[svg.index("<svg") :].replace("</style>", f"{_STYLE}</style>", 1)
    pixels = (round(_PIXELS * inches) for inches in figure.get_size_inches())
    content = base64.b64encode(svg.encode()).decode()
    return f"data:image/svg+xml;base64,{content}", (next(pixels), next(pixels))


def _add_legend(figure: Figure, entries: Sequence[Line2D], width: float, height: float) -> None:
    """Write the legend below the axes, in as many columns as fit, and make room for it."""
    found = {
        label: handle
        for axes in figure.axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    found = {str(entry.get_label()): entry for entry in entries} or found
    if not found:
        return
    columns = max(1, int(width / (_KEY + _LETTER * max(map(len, found)))))
    figure.set_size_inches(width, height + _LINE * -(-len(found) // columns))
    figure.legend(
        found.values(), found.keys(), loc="outside lower left", ncols=columns, handlelength=2.5
    )
