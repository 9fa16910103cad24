"""Compare methods on the same images: every method with every seed, in one table.

From the root of the project, on one machine or as the entry point of a Ray job:

    python launch/compare.py --methods fair_saliency,bnnas_spos,spos,random --seeds 3
    python launch/compare.py --methods a,b --seeds 3 --data DIR --space mobilenet_v2 --run FOLDER

All flags of launch/search.py but --method and --seed are accepted, and hold for all methods;
methods without pretraining stay without. Every run lies in FOLDER/METHOD-seedN, as
launch/search.py makes it (FOLDER/imagenet-spos-seedN for imagenet/spos). Methods with the same
supernet train it once per seed. Running the same command again continues, tries again what failed,
or prints the table. A step trains as many paths as the method's sampling asks for, so compare
methods by ms per path, not by ms per step.
Exit codes: 0 done, 1 some run failed, 2 a mistake in the request, 130 interrupted,
143 stopped by SIGTERM.
"""

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from launch import search
from raynas.benchmark.method_comparison import Row, rival_rows, run_row
from raynas.benchmark.paper_tables import notes, paper_tables
from raynas.benchmark.recorded_spaces import refuse_misfit
from raynas.benchmark.truths.reading import read_truths
from raynas.benchmark.truths.truth import Truth
from raynas.cluster.planning.connection import Resources, connected, lasting
from raynas.cluster.planning.plan import make_plan
from raynas.cluster.run import recorded_run
from raynas.cluster.run_setup import load
from raynas.cluster.tune.comparison_trials import Cell, make_cells, refuse_crowding, run_cells
from raynas.errors import StageError, UserError
from raynas.settings.following import by_images
from raynas.settings.methods import method_label
from raynas.settings.older_names import words_of_today
from raynas.settings.settings import Settings
from raynas.storage.run_store import RunStore
from raynas.storage.uris import name_of
from raynas.terminal.cli import exit_code, make_console, run_script, values_of, with_flags
from raynas.terminal.output import outlive_output
from raynas.terminal.progress_bars import Stages
from raynas.training.starts.member import load_start


@dataclass(frozen=True)
class Command:
    """Compare methods on the same images: every method with every seed, in one table."""

    settings: Annotated[Settings, tyro.conf.arg(name="")] = field(default_factory=Settings)
    methods: str = ""
    """Methods, with commas between: names in launch/settings/ or paths to TOML files."""
    seeds: int = 3
    """Runs of each method, with the seeds from 0."""
    run: str | None = None
    """Folder of the comparison, a path or URI; unset: one under runs/, named as a run's is."""
    concurrent: int = 1
    """Supernets, with their runs, at a time; their times are comparable with one only."""
    truth: str | None = None
    """True accuracies, as analysis/ranking.py takes them: path or URI; unset: tau of the check."""
    json: bool = False
    """Print the rows as JSON instead."""
    dry_run: bool = False
    """Print each method's plan and forecast, and stop there."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    words = sys.argv[1:] if argv is None else argv
    return exit_code(lambda: compare(*parse(words)))


def parse(argv: Sequence[str]) -> tuple[Command, dict[str, Settings]]:
    """Return the command and the settings of each method: flags over a recipe over its file.

    Raises:
        UserError: No such method, or settings that do not fit it.
    """
    names = [name for name in ",".join(values_of("--methods", argv)).split(",") if name]
    if not names:
        with_flags(Command(), words_of_today(argv), __doc__)  # --help, and flags that do not exist
        raise UserError("--methods: got none, wanted at least one, such as fair_saliency,random")
    for flag, plural in (("--method", "--methods"), ("--seed", "--seeds")):
        if values_of(flag, argv):
            raise UserError(f"{flag}: a comparison has several; give {plural}")
    methods: dict[str, Settings] = {}
    for name in names:
        command = command_of(name, argv)
        label = method_label(name)
        if label in methods:
            raise UserError(f"--methods: got {label} twice; rename one, or leave it out")
        methods[label] = command.settings
    if any(settings.budget is not None for settings in methods.values()):
        raise UserError(
            "--budget: the runs of a comparison train for the epochs that are asked for; leave it "
            "out, or give it to launch/search.py"
        )
    methods = rivals_once(methods)
    for flag, number in (("--seeds", command.seeds), ("--concurrent", command.concurrent)):
        if number < 1:
            raise UserError(f"{flag}: got {number}, wanted at least 1")
    return command, methods


def rivals_once(methods: dict[str, Settings]) -> dict[str, Settings]:
    """Return the methods, of which the first by name alone trains the rivals of all."""
    first = min(methods)
    return {
        name: settings if name == first else replace(settings, rivals="none")
        for name, settings in methods.items()
    }


def command_of(method: str, argv: Sequence[str]) -> Command:
    """Return the command as it reads for one method; without pretraining, it stays without."""
    default = search.defaults(method, argv)
    try:
        command = with_flags(Command(default), words_of_today(argv), __doc__)
    except UserError as error:
        raise UserError(f"method {method}: {error}") from error
    if default.pretrain.epochs:
        return command
    pretrain = replace(command.settings.pretrain, epochs=0.0)
    return replace(command, settings=replace(command.settings, pretrain=pretrain))


def compare(command: Command, methods: dict[str, Settings]) -> None:
    """Plan all runs, do what is left of them, write the table and print it.

    Raises:
        StageError: Some run failed.
    """
    truth = read_truths(command.truth) if command.truth else None
    store = RunStore(lasting(command.run or default_folder(methods)))
    store.refuse_unwritable()
    cells = make_cells(methods, command.seeds, store.address)
    for cell in cells:
        recorded_run(cell.store, cell.settings)
    console = make_console(stderr=command.json)
    if not command.dry_run:
        outlive_output()
    errors: dict[str, str | None] = {}
    if command.dry_run or not all(cell.is_finished for cell in cells):
        for each in methods.values():
            load(each)  # a mistake in it is told before Ray starts
        with connected() as resources:
            for each in methods.values():
                refuse_impossible(command, each, resources, truth)
                if command.dry_run:
                    search.run_command(search.Command(each, dry_run=True), console)
            if command.dry_run:
                return
            errors = run(cells, RunStore.create(store.address), command.concurrent, truth, console)
    rows = [row for cell in cells for row in write_rows(store, cell, errors.get(cell.name), truth)]
    for number, table in enumerate(paper_tables(rows), start=1):
        store.write_bytes(f"table{number}.csv", table.csv().encode())
    show(rows, store, command, console)
    runs = [row for row in rows if not row.get("is_rival")]
    failed = sum(row["status"] == "failed" for row in runs)
    if failed:
        raise StageError(f"{failed} of {len(runs)} runs failed; the same command tries them again")


def refuse_impossible(
    command: Command, settings: Settings, resources: Resources, truth: Truth | None
) -> None:
    """Refuse a method that cannot work here, before anything trains.

    Raises:
        UserError: Its plan, so many supernets at a time, or a truth of another space.
    """
    space, dataset = load(settings)
    settings = by_images(settings, len(dataset.train))
    start = None
    if settings.start is not None:
        start = load_start(settings.start, space, settings.pretrain.layer_indicator)
        dataset = start.normalised(dataset)
    plan = make_plan(space, dataset, settings, resources, None, start=start)
    refuse_crowding(plan, settings, resources, command.concurrent)
    if truth:
        refuse_misfit(truth, plan.space, f"--truth {command.truth}")


def show(rows: Sequence[Row], store: RunStore, command: Command, console: Console) -> None:
    """Print the rows, as JSON or as a table with the errors."""
    if command.json:
        print(json.dumps(rows, indent=2))
        return
    print_rows(rows, console)
    print(f"tables: {', '.join(map(store.locate, ('table1.csv', 'table2.csv')))}")
    print(f"rows: {store.locate('tables/comparison')}")


def default_folder(methods: dict[str, Settings]) -> str:
    """Return runs/compare-DATA-SPACE-HASH: the same methods and settings continue there."""
    first = next(iter(methods.values()))
    digests = sorted(replace(settings, seed=0).digest for settings in methods.values())
    ending = hashlib.sha256(" ".join(digests).encode()).hexdigest()[:6]
    return f"runs/compare-{name_of(first.data)}-{Path(first.space).stem}-{ending}"


def run(
    cells: Sequence[Cell], store: RunStore, concurrent: int, truth: Truth | None, console: Console
) -> dict[str, str | None]:
    """Do what is left of the runs, writing their rows as they end; return their errors."""
    done = sum(cell.is_finished for cell in cells)
    errors: dict[str, str | None] = {}
    with Stages(console) as stages:
        advance = stages.stage("compare", len(cells), "runs")

        def on_end(cell: Cell, error: str | None, warnings: Sequence[str]) -> None:
            errors[cell.name] = error
            row, *_ = write_rows(store, cell, error, truth)
            for line in (row["status"], *warnings):
                stages.print(f"{cell.name}: {line}")
            advance(done + len(errors), cell.name)

        advance(done)
        run_cells(cells, run_cell, on_end, concurrent)
    return errors


def run_cell(settings: Settings, folder: str, pretrained: str | None) -> list[str]:
    """Do a run as launch/search.py does it; return its warnings, which nobody would see there."""
    console = Console(width=2000, record=True)  # no warning is to be broken into lines
    command = search.Command(settings, folder, pretrained, skip_forecast=True, export=False)
    search.run_command(command, console)
    lines = console.export_text().splitlines()
    return [line for line in lines if line.startswith("warning:")]


def write_rows(store: RunStore, cell: Cell, error: str | None, truth: Truth | None) -> list[Row]:
    """Write the row of a run, and of its rivals, into the comparison's table; return them."""
    row = run_row(cell.store, cell.settings, error, truth)
    rows = [row, *rival_rows(cell.store, cell.settings)]
    store.append("comparison", rows, part=cell.name)
    return rows


def print_rows(rows: Sequence[Row], console: Console) -> None:
    """Print the paper's two tables, what a reader must know of them, and what failed and why."""
    for table in paper_tables(rows):
        console.print(table.text())
    for line in notes(rows):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    run_script(main)
