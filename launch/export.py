"""Export the trained networks of a run, finished or not, as folders that need no raynas.

    python launch/export.py RUN
    python launch/export.py RUN --rank 1 --out DIR

launch/search.py does this at its end; this is for runs that were made without it, that were
stopped before, or whose space or data have moved. What is there already is written anew.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import tyro

from raynas.data.dataset import Dataset
from raynas.data.loading import as_recorded, load_dataset
from raynas.errors import StageError, UserError
from raynas.export.rivals import winning_rivals
from raynas.export.run_exports import exports_of
from raynas.settings.export import ExportSettings
from raynas.settings.ranges import refuse_out_of_range
from raynas.settings.settings import Settings
from raynas.storage.folder import Folder
from raynas.storage.outcome_rows import networks_of
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.run_store import RunStore
from raynas.terminal.cli import exit_code, run_script, with_flags
from raynas.terminal.output import outlive_output
from raynas.training.trained_networks import recorded_space


@dataclass(frozen=True)
class Command:
    """Export the trained networks of a run as folders that need no raynas."""

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Run folder: a local path or a URI such as s3://bucket/run."""
    rank: int | None = None
    """Export the network of that rank alone, from 1; unset: all that were trained to the end."""
    architecture: str | None = None
    """Export that network alone, such as 3-0-5."""
    onnx: bool = True
    """Whether model.onnx is written as well, if its packages are installed."""
    export: ExportSettings = field(default_factory=ExportSettings)
    """How model.int8.onnx is made; unset: as the run's settings say."""
    out: str | None = None
    """Folder or URI for a folder of each network; unset: RUN/exports."""
    space: str | None = None
    """The space of the run, where that is a Python file of yours: nothing that a run folder names
    is executed."""
    data: str | None = None
    """The images, where they lie elsewhere; outputs are compared on some of them."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    return exit_code(lambda: export(parse(sys.argv[1:] if argv is None else argv)))


def parse(argv: Sequence[str]) -> Command:
    """Return the command: flags over what the settings of the run say of exports."""
    run = with_flags(Command(tyro.MISSING), argv, __doc__).run
    recorded = Settings.from_json(RunStore.open(run).rows("runs")[0]["settings"])
    command = with_flags(Command(tyro.MISSING, export=recorded.export), argv, __doc__)
    refuse_out_of_range(command.export, "export.")
    return command


def export(command: Command) -> None:
    """Write what the command asks for, and print where it lies."""
    store = RunStore.open(command.run)
    outlive_output()
    outcomes = _chosen(store, command)
    run = store.rows("runs")[0]
    settings = Settings.from_json(run["settings"])
    space = recorded_space(store, command.space)
    place: dict[str, Any] = (
        {"folder": Folder.create(command.out), "prefix": ""} if command.out else {}
    )
    dataset = _dataset(command.data, settings, PlanFacts.from_json(run["plan"]), space.resolution)
    exports = exports_of(
        store, space, dataset, with_onnx=command.onnx, settings=command.export, **place
    )
    for outcome in outcomes:
        for sentence in exports.make(outcome):
            print(sentence)
        print(exports.place(outcome["architecture"]))


def _chosen(store: RunStore, command: Command) -> list[dict[str, Any]]:
    finished = [*networks_of(store.rows("outcomes")), *winning_rivals(store)]
    if not finished:
        raise UserError(
            f"run folder {store.uri}: no network there was trained to its end; continue the run "
            "by the command that began it"
        )
    chosen = [
        row
        for row in finished
        if command.rank in {None, row["rank"]}
        and command.architecture in {None, row["architecture"]}
    ]
    if not chosen:
        known = ", ".join(f"{row['rank'] or 'rival'} ({row['architecture']})" for row in finished)
        raise UserError(
            f"run folder {store.uri}: no network of that rank and architecture was trained to its "
            f"end; there are {known}"
        )
    return chosen


def _dataset(
    moved: str | None, settings: Settings, facts: PlanFacts, usual_resolution: int
) -> Dataset | None:
    """Return the images of the run, as it normalised them; None where they are not needed."""
    try:
        dataset = load_dataset(
            moved or settings.data, settings.images, settings.seed, usual_resolution
        )
    except (UserError, StageError) as error:
        if moved or facts.mean is None:
            raise UserError(
                f"{error}; its normalisation is needed, so say by --data where the images are now"
            ) from error
        print(f"outputs are compared on noise, for the images of the run cannot be read: {error}")
        return None
    if facts.mean is not None and dataset.keeps_val != facts.keeps_val:
        print("outputs are compared on noise, for other images of the data serve for choices now")
        return None
    if [list(dataset.class_names), len(dataset.train)] != [list(facts.classes), facts.train]:
        raise UserError(
            f"data {moved or settings.data}: not the images of the run, which had "
            f"{facts.train:,} to train in {len(facts.classes):,} classes"
        )
    return as_recorded(dataset, facts)


if __name__ == "__main__":
    run_script(main)
