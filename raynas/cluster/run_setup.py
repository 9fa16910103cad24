"""Opening a run: read its images and space, look at the cluster, plan, forecast, lock, record.

Everything that cannot work is refused here, before anything trains.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, TypedDict, Unpack

import pyarrow as pa
import torch
from rich.console import Console

from raynas.cluster.outlook import Outlook, Request
from raynas.cluster.planning.budget import refuse_budget
from raynas.cluster.planning.connection import connected, lasting, ship_by_value
from raynas.cluster.planning.image_reading import on_all_nodes
from raynas.cluster.planning.node_check import refuse_unfit_nodes
from raynas.cluster.planning.plan_text import forecast_line
from raynas.cluster.planning.probe import ProbeError, probe
from raynas.cluster.planning.speeds import Speeds
from raynas.cluster.run import Run, begin, end, recorded_run, settings_of
from raynas.cluster.tune.trackers import Tracker, refuse_untrackable, tracking
from raynas.data.dataset import Dataset
from raynas.data.loading import as_recorded, read_images
from raynas.errors import StageError
from raynas.nets.rivals import refuse_unknown
from raynas.recording.images_table import refuse_changed_images
from raynas.recording.measured_times import measure_times
from raynas.recording.reuse import refuse_foreign, with_pretraining_of
from raynas.settings.compatibility import refuse_unfit
from raynas.settings.following import by_images
from raynas.settings.given import named_architectures
from raynas.settings.settings import Settings
from raynas.spaces.loading import SPACES, load_space, space_module_name
from raynas.spaces.protocol import Space
from raynas.storage.lock import RunLock
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.resolution_folders import refuse_several
from raynas.storage.rival_names import is_of_library
from raynas.storage.run_store import RunStore
from raynas.storage.uris import name_of
from raynas.storage.usage import Usage
from raynas.terminal.cli import make_console
from raynas.terminal.progress_bars import Stages, say
from raynas.training.checkpoints import is_whole
from raynas.training.starts.member import load_start
from raynas.training.starts.start import START, Start, read_start
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
            measure_times(run.store, run.plan.space, run.plan.facts)
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
        settings: What to do; the run has those that follow from images and a budget worked out.
        store: The run folder, which need not exist.
        console: Where to show the plan and the progress.
        options: What else it begins with (``Options``).

    Raises:
        UserError: What was asked for cannot work.
        StageError: A stage would fail by what its probe failed by.
    """
    asked, started = settings, time.monotonic()
    track, verbose = options.get("track"), options.get("verbose", False)
    store.refuse_unwritable()
    refuse_untrackable(track, store)
    recorded = recorded_run(store, asked)
    probing = options.get("probing", not recorded)
    if not recorded:
        refuse_several(store)
    if not recorded and not probing:
        refuse_budget(asked)
    settings, supernet = _to_begin_with(settings_of(recorded, asked), recorded, options)
    space, start, dataset, images = _read(settings, store, recorded is not None)
    if not recorded:
        settings = by_images(settings, len(dataset.train))
    torch.set_num_threads(1)  # the driver adds up small vectors; its threads would starve workers
    with connected(verbose=verbose) as resources, Stages(console) as stages:
        ship_by_value(space_module_name(settings.space))
        if recorded:
            refuse_changed_images(store, images)
            dataset = as_recorded(dataset, PlanFacts.from_json(recorded["plan"]))
        begins = start, supernet, options.get("warm_start")
        request = Request(asked, store, space, dataset, resources, recorded, *begins)
        outlook = request.outlook(settings)
        if settings.images.loader_workers is None:
            dataset = dataset.decoded_by(outlook.plan.decoders(resources))
        if supernet:
            refuse_foreign(supernet, settings, outlook.plan.facts)
        refuse_unfit_nodes(store, dataset.file_to_read)
        outlook, expected = _foreseen(request, outlook, dataset, probing, stages, started)
        yield Run(
            store,
            outlook.settings,
            dataset.recording(store),
            images,
            outlook.plan,
            resources,
            stages,
            recorded,
            expected,
            outlook.pretrained,
            outlook.earlier,
            tracking(track, store, stages.print),
            start,
        )


def _to_begin_with(
    settings: Settings, recorded: dict[str, Any] | None, options: Options
) -> tuple[Settings, RunStore | None]:
    """Return settings as the supernets of other runs have them, and that which was asked for.

    Raises:
        UserError: That one is none, or another one.
    """
    pretrained, warm_start = options.get("pretrained"), options.get("warm_start")
    if recorded:
        return settings, None
    if warm_start:
        settings = with_pretraining_of(RunStore(warm_start), settings)
    if pretrained is None:
        return settings, None
    supernet = RunStore(pretrained)
    settings = with_pretraining_of(supernet, settings)
    refuse_foreign(supernet, settings)
    return settings, supernet


def _foreseen(  # noqa: PLR0913 - what there is to foresee, and where to say it
    request: Request,
    outlook: Outlook,
    dataset: Dataset,
    probing: bool,
    stages: Stages,
    started: float,
) -> tuple[Outlook, Usage | None]:
    """Say the plan, of what a budget allows, and the forecast; return both."""
    chooses = outlook.settings.budget is not None and not request.recorded
    speeds = _measured(outlook, dataset, stages) if chooses else None
    if chooses and speeds:
        outlook = request.within_budget(outlook, speeds, time.monotonic() - started)
    elif chooses:
        raise StageError(
            f"--budget {outlook.settings.budget}: without a forecast nothing can be chosen by it; "
            "give --retrain.epochs and --trainings instead"
        )
    for line in outlook.lines(request.asked, request.resources):
        stages.print(line)
    if probing and not chooses:
        speeds = _measured(outlook, dataset, stages)
    if speeds is None:
        return outlook, None
    expected = outlook.forecast(speeds)
    stages.print(forecast_line(expected))
    return outlook, expected


def load(settings: Settings) -> tuple[Space, Dataset]:
    """Return the space and the images of a run.

    Raises:
        UserError: One of them cannot be read, or the method does not fit the space.
    """
    space = _space(settings)
    return space, _images_of(space, settings)[0]


def _space(settings: Settings) -> Space:
    """Return the space of a run, which its method and what it names fit."""
    space = load_space(settings.space, SPACES)
    refuse_unfit(space, settings)
    named_architectures(searched_space(space, settings.pretrain.layer_indicator), settings)
    for name in filter(is_of_library, settings.rival_names):
        refuse_unknown(name)
    return space


def _images_of(space: Space, settings: Settings) -> tuple[Dataset, pa.Table]:
    images, usual = settings.images, space.resolution
    return _images(settings.data, images, settings.seed, usual, say, on_all_nodes)


def _read(
    settings: Settings, store: RunStore, continued: bool
) -> tuple[Space, Start | None, Dataset, pa.Table]:
    """Return space, trained weights and images of a run, and what is known of each image."""
    space = _space(settings)
    start = _start(space, settings, store, continued)
    dataset, images = _images_of(space, settings)
    return space, start, start.normalised(dataset) if start else dataset, images


def _start(space: Space, settings: Settings, store: RunStore, continued: bool) -> Start | None:
    """Return the trained weights of a run, those that its folder keeps where it is continued."""
    if settings.start is None:
        return None
    if continued and is_whole(store, START):
        return read_start(store)
    return load_start(settings.start, space, settings.pretrain.layer_indicator)


def _measured(outlook: Outlook, dataset: Dataset, stages: Stages) -> Speeds | None:
    """Return the speeds of a run's stages; None: the probe failed by one network, maybe."""
    plan, settings = outlook.plan, outlook.settings
    needless = "" if settings.budget else " (--skip-forecast does without)"
    stages.print(f"probe     each stage for some seconds{needless}")
    try:
        return probe(plan, dataset, settings, outlook.strategy.probe_task(plan, settings))
    except ProbeError as error:  # others may do
        stages.print(f"warning: no forecast, its probe failed: {error}")
        return None


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
