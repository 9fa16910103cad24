"""A chart as inline SVG that takes its colours from the page's style sheet.

Why not matplotlib, which draws the figures of ``analysis/``: it measures text in a font that the
page does not have, styles by attributes that a strict content security policy refuses, and scales
the whole picture down on a phone, where nobody can read it. Here text is text, colours are CSS
variables (so dark mode works), and a chart can be drawn once for each width.
"""

from collections.abc import Sequence

import pandas as pd
from markupsafe import Markup

from raynas.reporting.page.axes import Array, Axis
from raynas.reporting.page.markup import number, polyline, tag

Values = Sequence[float] | pd.Series
WIDE, NARROW, HALF = 840, 328, 410  # CSS pixels of a figure: on a desk, on a phone, on both
NUM_LOOKS = 6  # colours, each with a marker and dashes of its own
_LETTER = 6.8  # pixels of a tick's letter, about
# Paths from a point: a circle, triangles, a square, a diamond, a cross. The small circle is a line
# without length whose round ends are seen, for there may be thousands of it.
_MARKERS = (
    "m-4.2 0a4.2 4.2 0 1 0 8.4 0a4.2 4.2 0 1 0-8.4 0z",
    "m0-4.8l4.5 8h-9z",
    "m-3.6-3.6h7.2v7.2h-7.2z",
    "m0-5.2l5.2 5.2-5.2 5.2-5.2-5.2z",
    "m-1.3-4.3h2.6v3h3v2.6h-3v3h-2.6v-3h-3v-2.6h3z",
    "m0 4.8l4.5-8h-9z",
)
_SMALL = (
    "h0",
    "m0-3.2l3 5.3h-6z",
    "m-2.3-2.3h4.6v4.6h-4.6z",
    "m0-3.3l3.3 3.3-3.3 3.3-3.3-3.3z",
    "m-1-3h2v2h2v2h-2v2h-2v-2h-2v-2h2z",
    "m0 3.2l3-5.3h-6z",
)


class Chart:
    """Two axes and the marks between them."""

    def __init__(self, width: int, height: int, x: Axis, y: Axis) -> None:
        """Begin with nothing but the axes.

        Args:
            width: In pixels of the page.
            height: In the same.
            x: The horizontal axis.
            y: The vertical one; its label stands above it, where it can be read.
        """
        self.width, self.height, self.x, self.y = width, height, x, y
        self._y_ticks = y.ticks(max(2, (height - 70) // 42))
        self.left = 10 + _LETTER * max((len(text) for _, text in self._y_ticks), default=1)
        self.right, self.top, self.bottom = width - 14.0, 26.0, height - 42.0
        self._marks: list[Markup] = []

    def across(self, values: Values) -> Array:
        """Return the pixels from the left."""
        return self.x.places(values, self.left, self.right)

    def up(self, values: Values) -> Array:
        """Return the pixels from the top."""
        return self.y.places(values, self.bottom, self.top)

    def line(self, xs: Values, ys: Values, look: str) -> None:
        """Draw a line through points.

        Args:
            xs: Their values on the horizontal axis.
            ys: Those on the vertical one.
            look: Classes of the style sheet, here and below.
        """
        if len(xs):
            path = polyline(self.across(xs), self.up(ys))
            self._marks.append(tag("path", d=path, class_=f"line {look}"))

    def stairs(self, xs: Values, ys: Values, look: str) -> None:
        """Draw a line that keeps each value until the next."""
        if len(xs):
            points = list(zip(self.across(xs), self.up(ys), strict=True))
            path = "".join(f"H{number(x)}V{number(y)}" for x, y in points[1:])
            start = polyline(*([value] for value in points[0]))
            self._marks.append(tag("path", d=start + path, class_=f"line {look}"))

    def band(self, xs: Values, low: Values, high: Values, look: str) -> None:
        """Fill what lies between two lines."""
        across = self.across(xs)
        path = polyline([*across, *across[::-1]], [*self.up(high), *self.up(low)[::-1]])
        self._marks.append(tag("path", d=path + "z", class_=f"band {look}"))

    def dots(self, xs: Values, ys: Values, series: int, look: str = "", title: str = "") -> None:
        """Mark points, all in one path: thousands of them stay a small file.

        Args:
            xs: Their values on the horizontal axis.
            ys: Those on the vertical one.
            series: Which gives colour and marker.
            look: Further classes.
            title: What a pointer that rests there is told.
        """
        if not len(xs):
            return
        index = series % NUM_LOOKS
        places = zip(self.across(xs), self.up(ys), strict=True)
        marker = (_SMALL if look == "small" else _MARKERS)[index]
        path = "".join(f"M{number(x)} {number(y)}{marker}" for x, y in places)
        inside = [tag("title", title)] if title else []
        self._marks.append(tag("path", *inside, d=path, class_=f"dots m{index} s{index} {look}"))

    def rule(self, look: str, x: float | None = None, y: float | None = None) -> None:
        """Draw a line across the chart at a value of one of the axes."""
        if x is not None:
            at = number(float(self.across([x])[0]))
            path = f"M{at} {number(self.top)}V{number(self.bottom)}"
        else:
            at = number(float(self.up([y or 0.0])[0]))
            path = f"M{number(self.left)} {at}H{number(self.right)}"
        self._marks.append(tag("path", d=path, class_=f"line {look}"))

    def write(self, x: float, y: float, text: str, look: str = "", anchor: str = "middle") -> None:
        """Write a text at a pixel."""
        self._marks.append(tag("text", text, x=x, y=y, class_=look, text_anchor=anchor))

    def svg(self, description: str) -> Markup:
        """Return the whole chart.

        Args:
            description: For those who do not see it.
        """
        return tag(
            "svg",
            *self._frame(),
            *self._marks,
            viewBox=f"0 0 {self.width} {self.height}",
            class_="chart",
            role="img",
            aria_label=description,
        )

    def _frame(self) -> list[Markup]:
        """Return grid, ticks and labels."""
        left, right, bottom = self.left, self.right, self.bottom
        rows = list(zip(self.up([v for v, _ in self._y_ticks]), self._y_ticks, strict=True))
        ticks = self.x.ticks(max(2, int((right - left) // 78)))
        columns = list(zip(self.across([value for value, _ in ticks]), ticks, strict=True))
        grid = "".join(f"M{number(left)} {number(y)}H{number(right)}" for y, _ in rows)
        feet = "".join(f"M{number(x)} {number(bottom)}v4" for x, _ in columns)
        base = f"M{number(left)} {number(bottom)}H{number(right)}"
        ends = {True: "start", False: "middle"}
        return [
            tag("path", d=grid, class_="grid"),
            tag("path", d=base + feet, class_="base"),
            *(
                tag("text", text, x=left - 6, y=float(y) + 4, text_anchor="end")
                for y, (_, text) in rows
            ),
            *(
                tag("text", text, x=float(x), y=bottom + 17, text_anchor=ends[x < left + 8])
                for x, (_, text) in columns
            ),
            tag("text", self.y.label, x=0, y=12, class_="label"),
            tag(
                "text", self.x.label, x=right, y=self.height - 6, class_="label", text_anchor="end"
            ),
        ]


def key(series: int, look: str = "", is_line: bool = False) -> Markup:
    """Return the small picture of a series for a legend."""
    index = series % NUM_LOOKS
    marker = (_SMALL if look == "small" else _MARKERS)[index]
    path, kind = f"M11 7{marker}", f"dots m{index} s{index}"
    if is_line:
        path, kind = "M1 7h20", f"line s{index}"
    mark = tag("path", d=path, class_=f"{kind} {look}")
    return tag("svg", mark, viewBox="0 0 22 14", class_="key", aria_hidden="true")
