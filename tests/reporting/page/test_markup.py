"""Elements whose values are escaped."""

from markupsafe import Markup

from raynas.reporting.page.markup import number, polyline, tag


def test_text_and_attributes_are_escaped_and_markup_is_not() -> None:
    made = tag("text", "<b>", tag("title", 'a "&" b'), aria_label='"><script>', class_="x")

    assert made == Markup(
        '<text aria-label="&#34;&gt;&lt;script&gt;" class="x">&lt;b&gt;'
        "<title>a &#34;&amp;&#34; b</title></text>"
    )


def test_attributes_without_a_value_are_left_out() -> None:
    assert tag("path", d=None, x=1.25, y=2) == Markup('<path x="1.2" y="2"></path>')


def test_coordinates_have_at_most_one_decimal() -> None:
    assert [number(value) for value in (3.0, 3.04, 3.06, -0.25)] == ["3", "3", "3.1", "-0.2"]
    assert polyline([1, 2.55], [0, 10]) == "M1 0L2.5 10"
