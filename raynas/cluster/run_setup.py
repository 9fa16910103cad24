"""Opening a run: read its images and space, look at the cluster, plan, forecast, lock, record.

Everything that cannot work is refused here, before anything trains.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TypedDict, Unpack

import numpy as np
import pyarrow as pa
import torch
from rich.console import Console

from raynas.cluster.planning.connection import connected, lasting, ship_by_value
from raynas.cluster.planning.forecast import forecast
from raynas.cluster.planning.image_reading import on_all_nodes
from raynas.cluster.planning.node_check import refuse_unfit_nodes
from raynas.cluster.planning.plan import Plan, make_plan
from raynas.cluster.planning.plan_text import forecast_line, plan_lines
from raynas.cluster.planning.probe import ProbeError, probe
from raynas.cluster.planning.teachers import plan_teacher
from raynas.cluster.run import Run, begin, end, recorded_run
from raynas.cluster.strategies.strategy import SearchStrategy, load_strategy
from raynas.cluster.tune.trackers import Tracker, refuse_untrackable, tracking
from raynas.costs.latency_table import LatencyTable
from raynas.data.dataset import Dataset
from raynas.data.loading import read_images
from raynas.errors import UserError
from raynas.nets.rivals import refuse_unknown
from raynas.recording.images_table import refuse_changed_images
from raynas.recording.reuse import refuse_foreign
from raynas.recording.warm_start import Earlier, latency_table_of
from raynas.settings.compatibility import refuse_unfit
from raynas.settings.given import named_architectures
from raynas.settings.settings import Settings
from raynas.spaces.loading import SPACES, load_space, space_module_name
from raynas.spaces.protocol import Space
from raynas.storage.lock import RunLock
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.run_store import RunStore
from raynas.storage.uris import name_of
from raynas.storage.usage import Usage
from raynas.terminal.cli import make_console
from raynas.terminal.progress_bars import Stages, say
from raynas.training.trained_networks import searched_space

_images = lru_cache(maxsize=1)(read_images)  # runs of one process may share them


class Options(TypedDict, total=False):
    """What else a run may begin with; all of it may be left out.

    Attributes:
        pretrained: Run folder whose supernet is taken over; it must be the same one.
        warm_start: Run folder of which is taken over what is the same.
        track: Tracker that shows the trials as well.
        probing: Make a forecast by a probe of some seconds; left out: of a run that is new.
        verbose: Show Ray's own messages.
    """

    pretrained: str | None
    warm_start: str | None
    track: Tracker | None
    probing: bool
    verbose: bool


@contextmanager
def open_run(
    settings: Settings | None = None,
    folder: str | None = None,
    console: Console | None = None,
    **options: Unpack[Options],
) -> Iterator[Run]:
    """Plan a run, or one that is continued, and hold its folder until its stages are done.

    What the stages have found lies in the tables of ``run.store``. A run whose networks are
    trained is marked as finished at the end.

    Args:
        settings: What to do; None: the defaults.
        folder: Run folder, a path or URI; None: one under runs/, named by data, space and settings.
        console: Where to show progress; None: standard output.
        options: Earlier runs to take from, trackers, whether to forecast (``Options``).

    Raises:
        UserError: A mistake in the settings; nothing was made.
        StageError: Another driver works on the folder.
    """
    settings = settings or Settings()
    store = run_folder(settings, folder)
    with planned(settings, store, console or make_console(), **options) as run, begun(run):
        yield run
        if run.store.parts("outcomes"):
            end(run)


def run_folder(settings: Settings, folder: str | None = None) -> RunStore:
    """Return a run's folder, unnamed runs/DATA-SPACE-HASH: equal settings continue there."""
    named = f"runs/{name_of(settings.data)}-{Path(settings.space).stem}-{settings.digest}"
    return RunStore(lasting(folder or named))


@contextmanager
def planned(
    settings: Settings, store: RunStore, console: Console, **options: Unpack[Options]
) -> Iterator[Run]:
    """Connect to Ray, plan a run and say the plan; nothing is written.

    Args:
        settings: What to do.
        store: The run folder, which need not exist.
        console: Where to show the plan and the progress.
        options: What else it begins with (``Options``).

    Raises:
        UserError: What was asked for cannot work.
        StageError: A stage would fail by what its probe failed by.
    """
    track, pretrained = options.get("track"), options.get("pretrained")
    store.refuse_unwritable()
    refuse_untrackable(track, store)
    recorded = recorded_run(store, settings)
    supernet = RunStore(pretrained) if pretrained and not recorded else None
    if supernet:
        refuse_foreign(supernet, settings)
    space, dataset, images = _read(settings)
    torch.set_num_threads(1)  # the driver adds up small vectors; its threads would starve workers
    with connected(verbose=options.get("verbose", False)) as resources, Stages(console) as stages:
        ship_by_value(space_module_name(settings.space))
        facts = PlanFacts.from_json(recorded["plan"]) if recorded else None
        if facts:
            refuse_changed_images(store, images)
            dataset = _normalised_as_recorded(dataset, facts)
        teacher = plan_teacher(settings.retrain, dataset, space, store, facts)
        own = _with_own_table(settings, store) if recorded else settings
        plan = make_plan(space, dataset, own, resources, facts, teacher)
        if settings.images.loader_workers is None:
            dataset = dataset.decoded_by(plan.decoders(resources))
        if supernet:
            refuse_foreign(supernet, settings, plan.facts)
        refuse_unfit_nodes(store, dataset.file_to_read)
        earlier = _earlier_run(options.get("warm_start"), settings, plan, bool(recorded))
        strategy = load_strategy(settings.search.strategy)
        told = plan_lines(plan, settings, resources, strategy.plan_words(plan, settings))
        for line in (*told, *(earlier.lines() if earlier else ())):
            stages.print(line)
        expected = None
        if options.get("probing", not recorded):
            expected = _forecast(plan, dataset, settings, strategy, stages)
        yield Run(
            store,
            settings,
            dataset.recording(store),
            images,
            plan,
            resources,
            stages,
            recorded,
            expected,
            supernet or (earlier.pretraining if earlier else None),
            earlier,
            tracking(track, store, stages.print),
        )


def load(settings: Settings) -> tuple[Space, Dataset]:
    """Return the space and the images of a run.

    Raises:
        UserError: One of them cannot be read, or the method does not fit the space.
    """
    space, dataset, _ = _read(settings)
    return space, dataset


def _read(settings: Settings) -> tuple[Space, Dataset, pa.Table]:
    space = load_space(settings.space, SPACES)
    refuse_unfit(space, settings)
    named_architectures(searched_space(space, settings.pretrain.layer_indicator), settings)
    for name in settings.rival_names:
        refuse_unknown(name)
    images, usual = settings.images, space.resolution
    return space, *_images(settings.data, images, settings.seed, usual, say, on_all_nodes)


def _normalised_as_recorded(dataset: Dataset, facts: PlanFacts) -> Dataset:
    """Return the images with the run's own mean: another machine may hold them all in memory."""
    if facts.mean is None or facts.std is None:
        return dataset
    mean, std = (np.array(each, np.float32) for each in (facts.mean, facts.std))
    return replace(dataset, mean=mean, std=std)


def _with_own_table(settings: Settings, store: RunStore) -> Settings:
    """Return the settings with the run's own copy of its table of latencies, if that is whole."""
    copy = latency_table_of(store.address) if settings.latency_table else None
    if copy is None:
        return settings
    try:
        LatencyTable.read(copy)
    except UserError:
        return settings  # the original, of which a new copy is made
    return replace(settings, latency_table=copy)


def _earlier_run(
    folder: str | None, settings: Settings, plan: Plan, continued: bool
) -> Earlier | None:
    """Return the run to take from; a continued run does without if that is gone."""
    if folder is None or (continued and not RunStore(folder).rows("runs")):
        return None
    return Earlier(RunStore(folder), settings, plan.costs, plan.facts)


def _forecast(
    plan: Plan, dataset: Dataset, settings: Settings, strategy: SearchStrategy, stages: Stages
) -> Usage | None:
    stages.print("probe     each stage for some seconds (--skip-forecast does without)")
    try:
        speeds = probe(plan, dataset, settings, strategy.probe_task(plan, settings))
        searching = strategy.forecast(plan, settings, speeds)
        expected = forecast(plan, settings, speeds, searching)
    except ProbeError as error:  # of one network, maybe; others may do
        stages.print(f"warning: no forecast, its probe failed: {error}")
        return None
    stages.print(forecast_line(expected))
    return expected


@contextmanager
def begun(run: Run) -> Iterator[None]:
    """Lock the run folder and record the run, unless it is continued.

    Raises:
        UserError, StageError: Another driver works there.
    """
    with RunLock(RunStore.create(run.store.address), run.stages.print, run.store):
        begin(run)
        run.stages.expect(run.expected_seconds)
        yield
