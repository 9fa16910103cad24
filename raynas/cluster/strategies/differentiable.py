"""How a run finds what it retrains by differentiable searches: a genotype a seed, within limits.

The searches are Tune trials (``raynas.cluster.tune.differentiable_trials``). What they say is
read off the table ``gates``, so a run that is continued needs none of them any more.
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from raynas.cluster.planning.forecast import stage, starting_seconds
from raynas.cluster.planning.node_requirements import on_fit_nodes
from raynas.cluster.planning.plan import Plan
from raynas.cluster.planning.probe import ProbeTask, certain_if_fails, seconds_of
from raynas.cluster.planning.speeds import Speeds
from raynas.cluster.run import Run
from raynas.cluster.strategies.strategy import Scores, SearchStrategy, settled, write_found
from raynas.cluster.tune.differentiable_trials import (
    GateRecorder,
    gate_checkpoint,
    gate_trial,
    gates_part,
    seeds_of,
)
from raynas.cluster.tune.ray_train import trainable
from raynas.cluster.tune.retrain_trials import run_trials
from raynas.cluster.tune.schedulers import known_epochs
from raynas.cluster.tune.searchers import ListSearcher
from raynas.cluster.tune.tune_searcher import ConfigSearcher
from raynas.data.dataset import Dataset
from raynas.differentiable.epochs import from_json, gate_rows
from raynas.differentiable.genotype_rules import CellWeights, best_within
from raynas.differentiable.search import GateSearch
from raynas.errors import StageError
from raynas.settings.compatibility import cells_for
from raynas.settings.settings import Settings
from raynas.spaces.architecture import Architecture
from raynas.spaces.cells import CellSpace
from raynas.storage.run_store import RunStore
from raynas.storage.usage import StageUsage
from raynas.training.checkpoints import is_whole, read_metadata


def search(run: Run, scores: Scores) -> ListSearcher:
    """Search with every seed, and return the Tune searcher over what was found.

    Writes the tables ``gates``, ``search_epochs`` and ``architectures``.

    Args:
        run: The run.
        scores: None: nothing is scored.

    Raises:
        StageError: The searches ended early, or all of them failed.
    """
    del scores
    space = cells_for(run.plan.space, run.settings.differentiable)
    _run_searches(run, space)
    found = _found(run, space)
    write_found(run, list(found.items()), "differentiable")
    best = sorted(found, key=lambda each: -found[each])[: run.settings.num_winners]
    return ListSearcher({each: found[each] for each in best}, settled(run))


def _run_searches(run: Run, space: CellSpace) -> None:
    """Search with the seeds that have not ended, or that have failed before.

    Raises:
        StageError: The searches ended early, or all of them failed.
    """
    settings, plan = run.settings, run.plan
    differentiable = settings.differentiable
    _rebuild_gates(run.store, space)
    ends = _ends(run.store)
    left = [seed for seed in seeds_of(settings) if ends.get(seed, "failed") == "failed"]
    if not left:
        return
    whole = differentiable.epochs * differentiable.seeds
    advance = run.stages.stage("search", whole, "epochs", plan.searches)
    recorder = GateRecorder(run.store, space, settings, advance, plan.searches)
    work = trainable(
        on_fit_nodes(gate_trial, run.demands),
        plan.trial_size,
        inputs=run.trial_inputs(run.earlier.searches if run.earlier else None, is_taught=False),
    )
    each = replace(
        settings.retrain, epochs=differentiable.epochs, scheduler=differentiable.scheduler
    )
    known = known_epochs(run.store, "search_epochs", "seed")
    run_trials(
        work,
        ConfigSearcher([{"seed": seed} for seed in left]),
        [recorder],
        each,
        plan.trial_size,
        plan.searches,
        known,
    )
    _refuse_none(run)
    run.store.compact("gates")


def _rebuild_gates(store: RunStore, space: CellSpace) -> None:
    """Write the gates that the table has lost of searches that have ended.

    One whose checkpoint is lost as well is forgotten, so that it is made again.
    """
    known, rows = set(store.parts("gates")), store.rows("search_epochs")
    for seed, end in _ends(store).items():
        epochs = [row["epoch"] for row in rows if row["seed"] == seed]
        parts = {gates_part(seed, epoch) for epoch in epochs}
        if end == "failed" or parts <= known:
            continue
        path = gate_checkpoint(seed)
        if is_whole(store, path):
            history = from_json(read_metadata(store.read_bytes(path))["history"])
            for epoch in history:
                gates = [{"seed": seed, **row} for row in gate_rows(epoch, space)]
                store.append("gates", gates, part=gates_part(seed, epoch.epoch))
        elif gates_part(seed, max(epochs)) not in known:
            store.drop("search_epochs", partial(_is_of, seed))


def _is_of(seed: int, part: str) -> bool:
    return int(part) == seed


def _refuse_none(run: Run) -> None:
    """Print why searches failed; raise StageError if none is left that did not."""
    ends = _ends(run.store)
    if len(ends) < run.settings.differentiable.seeds:
        raise StageError("search: it ended early; run the same command again to continue")
    errors = [row["error"] for row in run.store.rows("search_epochs") if row["error"]]
    if "finished" not in ends.values():
        raise StageError(f"search: all seeds failed; the first one by:\n{errors[0]}")
    for error in errors:
        run.stages.print(error)


def _ends(store: RunStore) -> dict[int, str]:
    """Return how searches ended, by their seeds; none of those that have not."""
    table = store.table("search_epochs", ["seed", "status"])
    return {row["seed"]: row["status"] for row in table.to_pylist() if row["status"]}


def _found(run: Run, space: CellSpace) -> dict[Architecture, float]:
    """Return what the finished searches chose, with the accuracy of their last epoch."""
    found: dict[Architecture, float] = {}
    for row in run.store.rows("search_epochs"):
        if row["status"] != "finished":
            continue
        weights = last_weights(run.store, space, row)
        rule, limits = run.settings.differentiable.genotype, run.settings.limits
        architecture = best_within(space, weights, rule, run.plan.costs, limits)
        found[architecture] = max(row["val_accuracy"], found.get(architecture, 0.0))
    return found


def last_weights(store: RunStore, space: CellSpace, row: Mapping[str, Any]) -> CellWeights:
    """Return what the genotype of an epoch is chosen by, of both kinds of cell.

    Args:
        store: The run folder.
        space: Tells edges and operations, in the order of the table's rows.
        row: Of ``search_epochs``.
    """
    part = gates_part(row["seed"], row["epoch"])
    table = store.table("gates", ["weight"], [part])
    shape = (2, len(space.edges), len(space.operations))
    normal, reduction = np.asarray(table["weight"], np.float64).reshape(shape)
    return CellWeights(normal, reduction)


def _plan_words(plan: Plan, settings: Settings) -> str:
    how = settings.differentiable
    seeds = "1 seed" if how.seeds == 1 else f"{how.seeds} seeds"
    return (
        f"by {how.gates.replace('_', '-')} gates in {how.cells} cells of {how.channels} channels, "
        f"{seeds} for {how.epochs} epochs, {plan.searches} at a "
        f"time{', ' + how.scheduler if how.seeds > 1 else ''}"
    )


def _probe_task(plan: Plan, settings: Settings) -> ProbeTask:
    size = plan.trial_size
    cpus, places = settings.retrain.cpus_per_trial, plan.searches * size.workers
    return ProbeTask(_probe_epoch, places, cpus, size.gpus)


def _probe_epoch(
    plan: Plan, dataset: Dataset, settings: Settings, device: str
) -> tuple[float, int]:
    """Return the seconds of an epoch of a search, and a checkpoint's bytes."""
    whole = settings.differentiable
    own = replace(whole, batch=math.ceil(whole.batch / plan.trial_size.workers), warmup=0)
    space = cells_for(plan.space, own)
    gates = GateSearch(space, dataset, own, settings.seed, device)
    steps = map(gates.step, itertools.count())
    with certain_if_fails(lambda: next(steps)):
        step = seconds_of(lambda: float(next(steps).val_loss))  # waits for the device
    return step * math.ceil(len(dataset.train) / 2 / whole.batch), len(gates.to_bytes())


def _forecast(plan: Plan, settings: Settings, speeds: Speeds) -> StageUsage:
    how = settings.differentiable
    waves = math.ceil(how.seeds / plan.searches)
    seconds = waves * how.epochs * speeds.search + starting_seconds(plan, waves, speeds)
    saved = how.seeds * how.epochs * speeds.search_bytes
    return stage(seconds, _gpus(plan), saved)


def _gpus(plan: Plan) -> float:
    return plan.searches * plan.gpus_per_trial


STRATEGY = SearchStrategy(search, _plan_words, _probe_task, _forecast, _gpus)
