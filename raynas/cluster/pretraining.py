"""The first stage of a run: the supernet's batch norms, trained on Ray actors, step by step."""

from dataclasses import replace

from raynas.cluster.planning.node_requirements import on_fit_nodes
from raynas.cluster.run import Run
from raynas.cluster.workers.dealing import portions_of
from raynas.cluster.workers.path_workers import PathWorkers
from raynas.cluster.workers.worker import supernet_recipe
from raynas.nets.relu_inputs import relu_inputs
from raynas.recording.initial_isometry import initial_isometry
from raynas.recording.pretraining_log import CHECKPOINT, Journal
from raynas.spaces.chain import SearchSpace
from raynas.spaces.parameter_layout import classifier_start
from raynas.terminal.deferred_signals import Shield
from raynas.training.checkpoints import is_whole
from raynas.training.gradients import build_supernet
from raynas.training.pretraining import Pretraining, learned_nothing
from raynas.training.starts.inheriting import (
    SUPERNET,
    State,
    inherited_supernet,
    keep_supernet,
    kept_supernet,
)


def pretrain(run: Run) -> Pretraining | None:
    """Train the supernet's batch norms on Ray actors; return them with their importance.

    Continues where the run folder's checkpoint stands; writes the tables ``isometry``, ``steps``,
    ``indicators`` and ``ledger``. None: networks are cells, and nothing is pretrained.
    """
    with run.spending("pretrain", run.plan.workers * run.plan.gpus_per_worker):
        if not isinstance(run.plan.space, SearchSpace):
            return None
        state = _begun(run)
        journal = Journal(
            run.store, state, run.plan.chain, run.settings.pretrain, len(run.dataset.train)
        )
        if state.step < state.num_steps:
            _train(run, state, journal)
        else:
            journal.complete()
        warning = learned_nothing(journal.losses(), run.dataset.num_classes)
        if warning:
            run.stages.print(f"warning: {warning}")
    return state


def _begun(run: Run) -> Pretraining:
    """Return the pretraining as far as the run folder knows it."""
    plan, settings, dataset, store = run.plan, run.settings, run.dataset, run.store
    inherited = _inherited(run)
    frozen = build_supernet(plan.chain, settings.pretrain, dataset, settings.seed, inherited)
    if plan.num_steps and not store.parts("isometry"):
        task = dataset.channels, dataset.num_classes
        rows = initial_isometry(plan.chain, *task, settings.pretrain, settings.seed, inherited)
        store.append("isometry", rows, part="initial")
    state = Pretraining(
        plan.chain,
        frozen.segments,
        frozen.vector,
        settings.pretrain,
        settings.seed,
        plan.num_steps,
        plan.num_shards,
        plan.costs,
        relu_inputs(plan.chain, dataset.resolution, dataset.channels),
    )
    if store.has(CHECKPOINT):
        state.restore(store.read_bytes(CHECKPOINT))
    return state


def _inherited(run: Run) -> State | None:
    """Return the supernet's state where it inherits weights: computed once, for all workers."""
    pretrain, store = run.settings.pretrain, run.store
    if pretrain.initialisation == "start" and not is_whole(store, SUPERNET):
        assert run.start, "refused before"
        run.stages.print("start     the supernet inherits its weights")
        task = run.plan.chain, pretrain, run.dataset, run.settings.seed
        keep_supernet(store, inherited_supernet(*task, run.start))
    return kept_supernet(store, pretrain)


def _train(run: Run, state: Pretraining, journal: Journal) -> None:
    plan, settings = run.plan, run.settings
    advance = run.stages.stage("pretrain", state.num_steps, "steps")
    recipe = on_fit_nodes(
        supernet_recipe(plan.chain, settings, plan.num_shards, plan.gpus_per_worker, run.store),
        run.demands,
    )
    portions = portions_of(len(state.vector) - classifier_start(state.segments))
    crew = replace(plan.crew(settings.pretrain), portions=portions)
    say = run.stages.print
    with PathWorkers(recipe, run.dataset, crew, say) as workers, journal, Shield() as shield:
        for step in state.run(shield.opened(workers)):
            journal.add(step, len(workers.healthy), workers.waiting_share)
            advance(state.step, f"loss {step.loss:.3f}")
