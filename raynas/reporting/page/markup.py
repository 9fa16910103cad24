"""SVG and HTML elements as text in which every value is escaped, whoever wrote it."""

from collections.abc import Iterable

from markupsafe import Markup, escape

Value = str | float | None


def tag(name: str, *children: str | Markup, **attributes: Value) -> Markup:
    """Return an element.

    Args:
        name: Of the element.
        children: Markup as it is, text escaped.
        attributes: ``stroke_width`` becomes ``stroke-width``, ``class_`` becomes ``class``;
            those that are None are left out.
    """
    written = Markup().join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _text(value))
        for key, value in attributes.items()
        if value is not None
    )
    inside = Markup().join(map(escape, children))
    return Markup("<{0}{1}>{2}</{0}>").format(name, written, inside)


def number(value: float) -> str:
    """Return a coordinate with at most one decimal."""
    return f"{value:.1f}".removesuffix(".0")


def polyline(xs: Iterable[float], ys: Iterable[float]) -> str:
    """Return the path through points."""
    return "M" + "L".join(f"{number(x)} {number(y)}" for x, y in zip(xs, ys, strict=True))


def _text(value: Value) -> str:
    return number(value) if isinstance(value, float) else str(value)
