"""Find, train and record the best networks for your images: the whole story of a run.

From the root of the project, on one machine or as the entry point of a Ray job:

    python launch/search.py
    python launch/search.py --data DIR --space mobilenet_v2 --max-macs 330M --run RUN
    ray job submit --working-dir . -- python launch/search.py --data s3://... --run s3://...

Running the same command again continues where it stopped. Exit codes: 0 done, 1 a stage
failed, 2 a mistake in the request, 130 interrupted, 143 stopped by SIGTERM.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from rich.console import Console

from raynas.cluster.checking import check_score
from raynas.cluster.connection import connected, lasting, ship_by_value
from raynas.cluster.data_parallel import trainable
from raynas.cluster.forecast import forecast
from raynas.cluster.plan import make_plan
from raynas.cluster.plan_text import forecast_line, plan_lines
from raynas.cluster.probe import probe
from raynas.cluster.run import Run
from raynas.cluster.searching import make_searcher
from raynas.cluster.shards import PathWorkers
from raynas.cluster.survey import refuse_unfit_nodes
from raynas.cluster.trials import TrialRecorder, retrain_trial, run_trials
from raynas.cluster.worker import supernet_recipe
from raynas.command import exit_code, make_console, values_of, with_flags
from raynas.console import Stages, say
from raynas.errors import StageError, UserError
from raynas.locations import name_of
from raynas.lock import RunLock
from raynas.methods import load_method
from raynas.report import print_report
from raynas.search.exact import best
from raynas.search.indicators import score_table
from raynas.settings import Settings, differences
from raynas.shield import Shield
from raynas.space import SearchSpace, load_space, space_module_name
from raynas.stages import INDICATOR_SCORES
from raynas.store import RunStore
from raynas.training import records
from raynas.training.gradients import build_supernet
from raynas.training.images import Dataset, load_dataset
from raynas.training.initial import initial_isometry
from raynas.training.journal import CHECKPOINT, Journal
from raynas.training.outcomes import Outcomes, TrialEnd
from raynas.training.pretraining import Pretraining, learned_nothing
from raynas.training.reuse import refuse_foreign, take_over

ROOT = Path(__file__).parent.parent
METHODS = ROOT / "launch" / "settings"
_images = lru_cache(maxsize=1)(load_dataset)  # runs of one process may share them


@dataclass(frozen=True)
class Command:
    """Find, train and record the best networks for your images."""

    settings: Annotated[Settings, tyro.conf.arg(name="")] = field(default_factory=Settings)
    run: str | None = None
    """Run folder, a path or URI; unset: one under runs/, named by data, space and settings."""
    pretrained: str | None = None
    """Run folder of the same space, data, seed and pretraining, to take its supernet over."""
    dry_run: bool = False
    """Print the plan and the forecast, and stop there."""
    skip_forecast: bool = False
    """Do without the forecast and its probe of some seconds; with --dry-run: the plan alone."""
    verbose: bool = False
    """Show Ray's own messages and what its workers print."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    words = sys.argv[1:] if argv is None else argv
    return exit_code(lambda: search(parse(words), make_console()))


def parse(argv: Sequence[str]) -> Command:
    """Return the command: flags over the method's TOML file over the defaults."""
    named = values_of("--method", argv)
    settings = load_method(named[-1] if named else Settings().method, METHODS)
    return with_flags(Command(settings), argv, __doc__)


def search(command: Command, console: Console) -> None:
    """Plan, pretrain, read the indicators, search and retrain, report."""
    settings = command.settings
    store = RunStore(lasting(command.run or default_folder(settings)))
    store.refuse_unwritable()
    recorded = recorded_run(store, settings)
    if recorded and recorded["finished"] and not command.dry_run:
        print_report(store, console)
        return
    source = RunStore(command.pretrained) if command.pretrained and not recorded else None
    if source:
        refuse_foreign(source, settings)
    space, dataset = load(settings)
    torch.set_num_threads(1)  # the driver adds up small vectors; its threads would starve workers
    with connected(verbose=command.verbose) as resources, Stages(console) as stages:
        ship_by_value(space_module_name(settings.space))
        facts = json.loads(recorded["plan"]) if recorded else None
        plan = make_plan(space, dataset, settings, resources, facts)
        refuse_unfit_nodes(store, dataset.file_to_read)
        for line in plan_lines(plan, settings, resources):
            stages.print(line)
        expected = None
        if not command.skip_forecast and (command.dry_run or not recorded):
            stages.print("probe     each stage for some seconds (--skip-forecast does without)")
            try:
                expected = forecast(plan, settings, probe(plan, dataset, settings))
                stages.print(forecast_line(expected))
            except StageError as error:  # of one network, maybe; others may do
                stages.print(f"warning: no forecast, its probe failed: {error}")
        if command.dry_run:
            return
        with RunLock(RunStore.create(store.address), stages.print):
            run = Run(store, settings, dataset, plan, resources, stages)
            begin(run, recorded, expected, source)
            with run.spending("pretrain", plan.workers * plan.gpus_per_worker):
                state = pretrain(run)
            search_and_retrain(run, state)
            end(run)
    print_report(store, console)


def load(settings: Settings) -> tuple[SearchSpace, Dataset]:
    """Return the space and the images of a run."""
    space = load_space(settings.space, ROOT / "search_spaces")
    return space, _images(settings.data, settings.images, settings.seed, space.resolution, say)


def default_folder(settings: Settings) -> str:
    """Return runs/DATA-SPACE-HASH: the same settings continue in the same folder."""
    return f"runs/{name_of(settings.data)}-{Path(settings.space).stem}-{settings.digest}"


def recorded_run(store: RunStore, settings: Settings) -> dict[str, Any] | None:
    """Return the row of a run that the folder already holds, or None.

    Raises:
        UserError: It was made with other settings.
    """
    rows = store.rows("runs")
    if not rows:
        return None
    differing = differences(rows[0]["settings"], settings)
    if differing:
        raise UserError(
            f"run folder {store.uri} holds a run of other settings ({'; '.join(differing)}); "
            "choose another --run, or give the recorded settings to continue"
        )
    return rows[0]


def begin(
    run: Run,
    recorded: dict[str, Any] | None,
    expected: dict[str, Any] | None,
    source: RunStore | None,
) -> None:
    """Record the run's row with its forecast, unless it is continued and has one."""
    run.store.sweep()
    if recorded:
        return
    if run.store.rows("runs"):
        raise StageError(
            f"run folder {run.store.uri}: another driver began a run there just now; run the same "
            "command again to continue that one"
        )
    if source:
        take_over(run.store, source, run.settings)
    row = records.run_row(run.store.name, run.settings, run.plan.facts) | {
        "nodes": run.resources.nodes, "cpus": run.resources.cpus, "gpus": run.resources.gpus,
        "pretrained": source.uri if source else None,
        "forecast": json.dumps(expected) if expected else None,
    }  # fmt: skip
    run.store.append("runs", [row], part="run")


def pretrain(run: Run) -> Pretraining:
    """Train the supernet's batch norms on Ray actors; return them with their importance."""
    plan, settings, store = run.plan, run.settings, run.store
    frozen = build_supernet(plan.space, settings.pretrain, run.dataset, settings.seed)
    if plan.num_steps and not store.parts("isometry"):
        rows = initial_isometry(
            plan.space, run.dataset.channels, run.dataset.num_classes, settings.pretrain,
            settings.seed,
        )  # fmt: skip
        store.append("isometry", rows, part="initial")
    state = Pretraining(
        plan.space, frozen.segments, frozen.vector, settings.pretrain, settings.seed,
        plan.num_steps, plan.num_shards,
    )  # fmt: skip
    if store.has(CHECKPOINT):
        state.restore(store.read_bytes(CHECKPOINT))
    journal = Journal(store, state, plan.space, settings.pretrain, len(run.dataset.train))
    if state.step < state.num_steps:
        advance = run.stages.stage("pretrain", state.num_steps, "steps")
        recipe = supernet_recipe(plan.space, settings, plan.num_shards, plan.gpus_per_worker)
        crew = plan.crew(settings.pretrain)
        with PathWorkers(recipe, run.dataset, crew) as workers, journal, Shield() as shield:
            for step in state.run(shield.opened(workers)):
                journal.add(step, len(workers.healthy), workers.waiting_share)
                advance(state.step, f"loss {step.loss:.3f}")
    warning = learned_nothing(journal.losses(), run.dataset.num_classes)
    if warning:
        run.stages.print(f"warning: {warning}")
    return state


def search_and_retrain(run: Run, state: Pretraining) -> None:
    """Find the best architectures, and train them as Tune trials."""
    plan, settings, store = run.plan, run.settings, run.store
    table = None  # trials score each architecture
    if settings.search.score in INDICATOR_SCORES:
        table = score_table(state.indicators(), plan.space, settings.search)
    outcomes = Outcomes(store, plan.costs)
    if table is not None:
        check_score(run, table)  # before the search, which may learn from it
    with run.spending("search", plan.scorers * plan.gpus_per_worker if table is None else 0.0):
        searcher = make_searcher(run, table, state.vector.numpy(), outcomes.settled())
    run.update(search_seconds=json.loads(run.row["spent"])["search"]["seconds"])
    if table is None:
        check_score(run, table)
    if not searcher.exhausted:
        with run.spending("retrain", plan.concurrent * plan.gpus_per_trial):
            retrain(run, searcher, outcomes)
    if table is not None and settings.search.strategy != "calibrated":
        record_gap(run, table)


def retrain(run: Run, searcher: Any, outcomes: Outcomes) -> None:
    """Train what the searcher suggests, from scratch, as Tune trials."""
    plan, settings = run.plan, run.settings
    epochs = settings.retrain.top_k * settings.retrain.epochs
    advance = run.stages.stage("retrain", epochs, "epochs")

    def take_in(end: TrialEnd) -> None:
        if end.error:
            run.stages.print(end.error)
        outcomes.add(end, searcher.score_of)

    recorder = TrialRecorder(run.store, settings.retrain, advance, take_in)
    work = trainable(
        retrain_trial, plan.trial_size, space=plan.space, dataset=run.dataset, settings=settings,
        store=run.store, gpus=plan.trial_size.gpus,
    )  # fmt: skip
    run_trials(work, searcher, recorder, settings.retrain, plan.trial_size, plan.concurrent)
    if not searcher.exhausted:
        raise StageError("retraining ended early; run the same command again to continue")


def record_gap(run: Run, table: list[Any]) -> None:
    """Record the best score that the search found beside the best one that there is."""
    scores = run.store.table("architectures", ["score"])["score"].to_pylist()
    _, optimum = best(table, run.plan.costs, run.settings.limits)
    run.update(best_score=max(scores), optimal_score=optimum)


def end(run: Run) -> None:
    """Mark the run as finished, unless trials failed: the same command tries those again.

    Raises:
        StageError: No trial succeeded.
    """
    outcomes = run.store.rows("outcomes")
    failed = [outcome for outcome in outcomes if outcome["status"] == "failed"]
    if failed and len(failed) == len(outcomes):
        raise StageError(
            f"retraining: all {len(failed)} trials failed; the first one by:\n{failed[0]['error']}"
        )
    if not failed:
        run.store.compact()
    spent = json.loads(run.row["spent"]) | {"disk_bytes": run.store.size()}
    run.update(spent=json.dumps(spent), finished=None if failed else datetime.now(UTC))


if __name__ == "__main__":
    sys.exit(main())
