"""The report of a run as one HTML file that asks for nothing from outside.

Values are escaped by jinja2; a content security policy allows the file's own style and script, by
their hashes, and nothing else.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import jinja2
from markupsafe import Markup

from raynas.balance import class_warnings, class_words
from raynas.costs import show_seconds
from raynas.errors import StageError
from raynas.page.answer import answer
from raynas.page.content import sections
from raynas.page.failures import failures
from raynas.page.reading import Reading, look
from raynas.page.settings_table import settings_part
from raynas.report import PAGE
from raynas.store import RunStore

_HERE = Path(__file__).parent


def make_page(store: RunStore, methods: Path) -> str:
    """Return the report of a run, however far it has come.

    Args:
        store: The folder of a run.
        methods: The folder of the methods' TOML files, to tell which settings differ from them.
    """
    reading = look(store, methods)
    style, script = (_read(name) for name in ("page.css", "page.js"))
    failed, more_failed = failures(reading)
    page = _environment().get_template("page.html.jinja").render(
        style=Markup(style), script=Markup(script),  # noqa: S704 - files of this package
        style_hash=_hash(style), script_hash=_hash(script),
        reading=reading, answer=answer(reading), sections=sections(reading),
        failures=failed, more_failures=more_failed, settings=settings_part(reading),
        about=_about(reading), took=_took(reading),
    )  # fmt: skip
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
    try:
        store.write_bytes(PAGE, make_page(store, methods).encode())
    except Exception as error:  # noqa: BLE001 - whatever it is, the run's results are safe
        say(f"warning: no {PAGE}: {type(error).__name__}: {error}")


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE), autoescape=True, trim_blocks=True,
        lstrip_blocks=True, undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    environment.filters["moment"] = _moment
    return environment


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest())
    return f"sha256-{digest.decode()}"


def _moment(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC" if time else "unknown"


def _took(reading: Reading) -> str:
    started, finished = reading.run["started"], reading.run["finished"]
    return show_seconds((finished - started).total_seconds()) if started and finished else ""


def _about(reading: Reading) -> list[tuple[str, str]]:
    """Return what the run was made of, and by what."""
    run, plan = reading.run, reading.plan
    classes = [str(name) for name in plan.get("classes", [])]
    counts = [f"{plan[part]:,} {name}" for part, name in
              (("train", "training"), ("val", "validation"), ("test", "test")) if part in plan]  # fmt: skip
    shown = ", ".join(classes[:20]) + (f" and {len(classes) - 20} more" * (len(classes) > 20))
    sizes = class_words(plan) if classes else ""
    size = plan.get("resolution")
    skipped = len(plan.get("skipped", []))
    machines = [(run["nodes"], "node"), (run["cpus"], "CPU"), (run["gpus"], "GPU")]
    rows = {
        "Run folder": reading.store.uri,
        "Data": str(reading.settings.get("data", "")),
        "Images": ", ".join(counts) + (f"; {skipped} could not be read" if skipped else ""),
        "Size of an image": f"{plan['channels']} x {size} x {size}" if size else "",
        "Classes": f"{len(classes)}: {shown}" if classes else "",
        "Images of a class": " ".join([sizes, *class_warnings(plan)]),
        "Space": run["space"],
        "Method": run["method"],
        "Seed": run["seed"],
        "Supernet taken from": run["pretrained"],
        "Cluster": ", ".join(
            f"{count:g} {name}{'s' * (count != 1)}" for count, name in machines if count is not None
        ),
        "Started": _moment(run["started"]),
        "Finished": _moment(run["finished"]) if run["finished"] else "",
        "Versions": ", ".join(f"{name} {of}" for name, of in _versions(run["versions"]).items()),
        "Source commit": run["git_commit"],
    }
    return [(name, str(text)) for name, text in rows.items() if text not in {None, ""}]


def _versions(text: str | None) -> dict[str, str]:
    found = json.loads(text or "{}")
    return found if isinstance(found, dict) else {}
