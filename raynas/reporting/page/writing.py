"""The report of a run as one HTML file that asks for nothing from outside.

Values are escaped by jinja2; a content security policy allows the file's own style and script, by
their hashes, and nothing else.
"""

import base64
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import jinja2
from markupsafe import Markup

from raynas.costs.costs import show_seconds
from raynas.errors import StageError
from raynas.reporting.page.about import about
from raynas.reporting.page.answer import answer
from raynas.reporting.page.content import sections
from raynas.reporting.page.failures import failures
from raynas.reporting.page.run_snapshot import RunSnapshot, moment, take_snapshot
from raynas.reporting.page.settings_table import settings_part
from raynas.reporting.summary import PAGE
from raynas.storage.run_store import RunStore

_HERE = Path(__file__).parent


def make_page(store: RunStore, methods: Path) -> str:
    """Return the report of a run, however far it has come.

    Args:
        store: The folder of a run.
        methods: The folder of the methods' TOML files, to tell which settings differ from them.
    """
    snapshot = take_snapshot(store, methods)
    style, script = (read_part(name) for name in ("page.css", "page.js"))
    failed, more_failed = failures(snapshot)
    parts = sections(snapshot)
    page = (
        environment()
        .get_template("page.html.jinja")
        .render(
            style=Markup(style),  # noqa: S704 - a file of this package
            script=Markup(script),  # noqa: S704 - a file of this package
            style_hash=policy_hash(style),
            script_hash=policy_hash(script),
            snapshot=snapshot,
            answer=answer(snapshot),
            sections=[part for part in parts if not part.is_empty],
            coming=[part.title for part in parts if part.is_empty],
            failures=failed,
            more_failures=more_failed,
            settings=settings_part(snapshot),
            about=about(snapshot),
            took=_took(snapshot),
        )
    )
    return page + "\n"


@contextmanager
def reporting(store: RunStore, methods: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Write the report when the run ends, also if a stage failed.

    The report is of the run, and never its fate: if it cannot be made, a sentence says why.

    Args:
        store: The run folder.
        methods: The folder of the methods' TOML files.
        say: Prints a line.
    """
    try:
        yield
    except StageError:
        _write(store, methods, say)
        raise
    _write(store, methods, say)


def _write(store: RunStore, methods: Path, say: Callable[[str], None]) -> None:
    write_page(store, lambda: make_page(store, methods), say)


def write_page(store: RunStore, make: Callable[[], str], say: Callable[[str], None]) -> None:
    """Write a page as the report of a folder; a sentence says why if it cannot be made.

    Args:
        store: The folder.
        make: Returns the page.
        say: Prints a line.
    """
    try:
        store.write_bytes(PAGE, make().encode(errors="backslashreplace"))
    except Exception as error:  # noqa: BLE001 - whatever it is, the run's results are safe
        say(f"warning: no {PAGE}: {type(error).__name__}: {error}")


@lru_cache(maxsize=1)
def environment() -> jinja2.Environment:
    """Return what makes pages of this package's templates, all values escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["moment"] = moment
    return environment


def read_part(name: str) -> str:
    """Return a style sheet or a script of this package."""
    return (_HERE / name).read_text(encoding="utf-8")


def policy_hash(text: str) -> str:
    """Return by which a content security policy allows a style or a script."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest())
    return f"sha256-{digest.decode()}"


def _took(snapshot: RunSnapshot) -> str:
    started, finished = snapshot.run["started"], snapshot.run["finished"]
    return show_seconds((finished - started).total_seconds()) if started and finished else ""
