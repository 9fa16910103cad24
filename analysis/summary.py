"""Print a run in one screen: the run, pretraining, search, and the outcomes by rank.

    python analysis/summary.py RUN [--json | --follow]

Works while the run is going on. ``macs`` are multiply-adds of one image, losses are in nats,
times in seconds; accuracies are percentages in the table and in [0, 1] with ``--json``.
"""

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import numpy as np
import tyro
from rich.console import Console, Group
from rich.text import Text

from raynas.costs.costs import show_quantity
from raynas.errors import UserError
from raynas.reporting.class_balance import is_imbalanced
from raynas.reporting.fairness import Updates, count_updates, fairness_line
from raynas.reporting.queries import last_epochs
from raynas.reporting.rank_correlation import Check, checked
from raynas.reporting.run_status import Progress, progress
from raynas.reporting.summary import (
    calibration_lines,
    check_lines,
    gap_lines,
    interval_lines,
    outcome_columns,
    rival_lines,
    search_lines,
)
from raynas.storage.outcome_rows import in_order, is_on_all
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.run_store import RunStore
from raynas.terminal.cli import exit_code, make_console, run_script
from raynas.terminal.json_text import json_text
from raynas.terminal.live_view import View, follow
from raynas.terminal.text_tables import TextTable, facts

_ACCURACIES = ("val_accuracy", "test_accuracy")
_BALANCED = ("val_balanced_accuracy", "test_balanced_accuracy")


@dataclass(frozen=True)
class Options:
    """A run's header, pretraining, search, and outcomes ranked by validation accuracy."""

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Run folder: a local path or a URI such as s3://bucket/run."""
    follow: bool = False
    """Show it again every two seconds until the run ends; where there is no terminal, look every
    ten and print a line if something has changed. Ctrl-C stops looking, never the run."""
    json: bool = False
    """Print one JSON object instead; accuracies in [0, 1], times in seconds."""


@dataclass(frozen=True)
class Pretraining:
    """What tables steps and ledger say; without rows, zero steps and None."""

    steps: int
    first_loss: float | None
    last_loss: float | None
    seconds: float
    updates: list[Updates]


@dataclass(frozen=True)
class Search:
    """What tables architectures and search_epochs say; without rows, zero and None."""

    scored: int
    generations: int
    best_score: float | None
    best_architecture: str | None
    searches: list[dict[str, Any]]  # the last epoch of each differentiable one


@dataclass(frozen=True)
class Summary:
    """Everything that is printed; ``notes`` are lines on search, test and short trainings."""

    run: dict[str, Any]
    pretraining: Pretraining
    search: Search
    outcomes: list[dict[str, Any]]
    notes: list[str]
    check: Check | None


def summarise(store: RunStore) -> Summary:
    """Return the summary of a run, however far it has come."""
    run = dict(store.rows("runs")[0])
    finished, started = run["finished"], run["started"]
    run["seconds"] = (finished - started).total_seconds() if finished and started else None
    run |= {name: _parsed(run[name]) for name in ("settings", "plan", "versions")}
    outcomes = in_order(store.rows("outcomes"))
    notes = [
        *interval_lines(outcomes),
        *calibration_lines(store, outcomes),
        *(f"rivals: {line}" for line in rival_lines(store)),
        *search_lines(store),
        *gap_lines(store),
        *check_lines(store),
    ]
    check = checked(store.rows("checks"))
    return Summary(run, _pretraining(store), _search(store), outcomes, notes, check)


def _parsed(text: str | None) -> Any:
    """Return what a JSON text holds, or a text that is no JSON as it is."""
    try:
        return json.loads(text or "null")
    except json.JSONDecodeError:
        return text


def _pretraining(store: RunStore) -> Pretraining:
    steps = store.table("steps", ["step", "loss", "seconds"]).to_pandas()
    first, last = None, None
    if not steps.empty:
        first, last = (float(steps["loss"][at(steps["step"])]) for at in (np.argmin, np.argmax))
    updates = count_updates(store.table("ledger").to_pandas())
    return Pretraining(len(steps), first, last, float(steps["seconds"].sum()), updates)


def _search(store: RunStore) -> Search:
    columns = ["order", "generation", "architecture", "score"]
    rows = store.table("architectures", columns).to_pandas().sort_values("order")
    searches: list[Any] = last_epochs(store.table("search_epochs").to_pandas()).to_dict("records")
    if rows.empty:
        return Search(0, 0, None, None, searches)
    best = rows.loc[rows["score"].idxmax()]
    return Search(
        len(rows),
        rows["generation"].nunique(),
        float(best["score"]),
        best["architecture"],
        searches,
    )


def rendered(summary: Summary) -> Group:
    """Return the header and the outcomes for a person."""
    lines = {
        **_run_lines(summary.run),
        "pretraining": _pretraining_line(summary.pretraining),
        "fairness": fairness_line(summary.pretraining.updates),
        "search": _search_line(summary.search),
    }
    settings = summary.run["settings"]
    if isinstance(settings, dict) and settings.get("pretrain", {}).get("epochs") == 0:
        del lines["pretraining"], lines["fairness"]  # there never will be any
    balanced = is_imbalanced(PlanFacts.from_json(json.dumps(summary.run["plan"])))
    table = _outcomes_table(summary.outcomes, balanced)
    errors = [
        f"{row['architecture']} {row['status']}: {row['error'].strip().splitlines()[-1]}"
        for row in summary.outcomes
        if row["error"]
    ]
    return Group(
        facts(lines),
        Text(),
        table if summary.outcomes else Text("no outcomes yet"),
        *map(Text, (*summary.notes, *errors)),
    )


def _run_lines(run: dict[str, Any]) -> dict[str, str]:
    seconds, finished = run["seconds"], "not yet"
    if seconds is not None:
        finished = f"{_time(run['finished'])}, after {seconds:,.0f} s"
    cluster = [("nodes", "node"), ("cpus", "CPU"), ("gpus", "GPU")]
    amounts = [
        f"{run[key]:g} {name}{'s' * (run[key] != 1)}"
        for key, name in cluster
        if run[key] is not None
    ]
    return {
        "run": str(run["run"]),
        "space": str(run["space"]),
        "method": f"{run['method']}, seed {run['seed']}",
        "started": _time(run["started"]),
        "finished": finished,
        "cluster": ", ".join(amounts),
        "versions": _versions(run["versions"]),
    }


def _time(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC") if moment else "not recorded"


def _versions(recorded: dict[str, str] | str | None) -> str:
    if isinstance(recorded, dict):
        return ", ".join(f"{name} {version}" for name, version in recorded.items())
    return recorded or "not recorded"


def _pretraining_line(pretraining: Pretraining) -> str:
    if not pretraining.steps:
        return "no steps yet"
    first, last = pretraining.first_loss, pretraining.last_loss
    took = f"{pretraining.seconds:,.1f} s"
    return f"{pretraining.steps:,} steps in {took}, loss from {first:.4f} to {last:.4f} nats"


def _search_line(search: Search) -> str:
    if search.searches:
        seeds, best = len(search.searches), search.best_score
        last = max(row["epoch"] for row in search.searches)
        found = "" if best is None else f", best accuracy while searching {best:.6g}"
        return f"by gates, {seeds} seed{'s' * (seeds != 1)}, epoch {last}{found}"
    if not search.scored:
        return "nothing scored yet"
    rounds = "1 generation" if search.generations == 1 else f"{search.generations} generations"
    return f"{search.scored:,} architectures in {rounds}, best score {search.best_score:.6g}"


def _outcomes_table(outcomes: list[dict[str, Any]], balanced: bool) -> TextTable:
    means = ("val bal. %", "test bal. %") if balanced else ()
    on_all = any(map(is_on_all, outcomes))
    columns = outcome_columns("val %", "test %", means, on_all=on_all)
    return TextTable(columns, [_cells(row, balanced, on_all) for row in outcomes])


def _cells(row: dict[str, Any], balanced: bool, on_all: bool) -> list[str]:
    """Return an outcome's texts; a dash where there is no value."""
    row = row | {"trained_on": row["trained_on"] or "train"}
    shown: dict[str, Callable[[Any], str]] = {
        "score": "{:.6g}".format,
        "macs": show_quantity,
        "params": show_quantity,
        **dict.fromkeys((*_ACCURACIES, *_BALANCED), lambda value: f"{100 * value:.2f}"),
    }
    names = [
        "rank",
        "architecture",
        "score",
        "macs",
        "params",
        *_ACCURACIES,
        *(_BALANCED if balanced else ()),
        *(("trained_on",) if on_all else ()),
        "epochs",
        "status",
    ]
    return ["-" if row[name] is None else shown.get(name, str)(row[name]) for name in names]


def to_json(summary: Summary) -> str:
    """Return the summary as one JSON object; NaN becomes null, for JSON has none."""
    return json_text(dataclasses.asdict(summary))


def follow_run(store: RunStore, console: Console) -> int:
    """Show a run until it has ended; return 0 if it is finished, else 1, or 130 after Ctrl-C."""
    seen: list[Progress] = []

    def look() -> View:
        now = progress(store)  # before the rest: what is shown of a finished run is all of it
        seen.append(now)
        line = f"{datetime.now(UTC):%H:%M:%S} {now.state}: {now.words}"
        return View(Group(rendered(summarise(store)), Text(line)), line[9:], now.state != "running")

    try:
        follow(look, console, 2.0 if console.is_interactive else 10.0)
    except KeyboardInterrupt:
        return 130
    return int(seen[-1].state != "finished")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the summary and return the exit code."""
    return exit_code(lambda: _show(arguments), (UserError, OSError))


def _show(arguments: Sequence[str] | None) -> int:
    options = tyro.cli(
        Options, args=arguments, description=__doc__, config=(tyro.conf.FlagCreatePairsOff,)
    )
    store = RunStore.open(options.run)
    if options.follow:
        return follow_run(store, make_console())
    if options.json:
        print(to_json(summarise(store)))
    else:
        make_console().print(rendered(summarise(store)))
    return 0


if __name__ == "__main__":
    run_script(main)
