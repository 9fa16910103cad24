"""Watching something that changes."""

import io
from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from raynas.terminal.live_view import View, follow


def looks(*lines: str) -> Callable[[], View]:
    """Return what sees one line after the other, the last of which is the end."""
    left = list(lines)

    def look() -> View:
        line = left.pop(0)
        return View(Text(f"whole of {line}"), line, not left)

    return look


def shown(look: Callable[[], View], is_terminal: bool) -> str:
    console = Console(
        file=io.StringIO(), force_terminal=is_terminal, force_interactive=is_terminal, width=40
    )
    follow(look, console, seconds=0.0)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_log_gets_a_line_for_every_change_and_no_more() -> None:
    assert shown(looks("a", "a", "b", "b", "a [x]"), is_terminal=False) == "a\nb\na [x]\n"


def test_a_terminal_sees_the_whole_drawn_again_in_the_same_place() -> None:
    text = shown(looks("a", "b"), is_terminal=True)

    assert text.index("whole of a") < text.index("whole of b")
    assert "\x1b[" in text[text.index("whole of a") : text.index("whole of b")]
