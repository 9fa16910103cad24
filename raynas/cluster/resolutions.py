"""A run at each of several resolutions, in folders beside each other, one after another."""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from raynas.cluster.planning.connection import connected, lasting
from raynas.cluster.planning.plan_text import total_words
from raynas.cluster.run import Run, recorded_run, settings_of
from raynas.cluster.run_setup import Options, planned
from raynas.errors import StageError, UserError
from raynas.recording.damage import is_whole_run, read_run
from raynas.settings.resolutions import at_resolutions
from raynas.settings.settings import Settings
from raynas.storage.resolution_folders import resolutions_in, store_at
from raynas.storage.run_store import RunStore
from raynas.storage.uris import name_of


@dataclass(frozen=True)
class RunAt:
    """A run at one of several resolutions.

    Attributes:
        resolution: Height and width of its images in pixels.
        settings: What it does.
        store: Its run folder.
        pretrained: Run folder whose supernet it takes over, or None.
        warm_start: Run folder of which it takes over what is the same, or None.
    """

    resolution: int
    settings: Settings
    store: RunStore
    pretrained: str | None = None
    warm_start: str | None = None

    @property
    def is_begun(self) -> bool:
        """Whether its folder holds it already.

        Raises:
            UserError: It holds a run of other settings.
        """
        return recorded_run(self.store, self.settings) is not None

    @property
    def is_finished(self) -> bool:
        """Whether nothing of it is left to do."""
        recorded = recorded_run(self.store, self.settings)
        return is_whole_run(self.store, settings_of(recorded, self.settings))

    @contextmanager
    def named(self) -> Iterator[None]:
        """Say of which resolution an error is."""
        try:
            yield
        except UserError as error:
            raise UserError(f"--resolutions {self.resolution}: {error}") from error
        except StageError as error:
            raise StageError(f"at {self.resolution} pixels: {error}") from error


def folder_of_resolutions(
    settings: Settings, resolutions: Sequence[int], folder: str | None = None
) -> RunStore:
    """Return the folder of runs at several resolutions, which need not exist.

    Args:
        settings: What the runs have in common.
        resolutions: In pixels; in whatever order, they lie in the same folder.
        folder: A path or URI; None: runs/DATA-SPACE-at-RESOLUTIONS-HASH.

    Raises:
        UserError: It holds a single run.
    """
    common = replace(settings, images=replace(settings.images, resolution=None))
    of, sizes = f"{name_of(settings.data)}-{Path(settings.space).stem}", sorted(resolutions)
    named = f"runs/{of}-at-{'-'.join(map(str, sizes))}-{common.digest}"
    store = RunStore(lasting(folder or named))
    if read_run(store) is not None:
        raise UserError(
            f"run folder {store.uri} holds a single run; choose another --run for one at each of "
            "several resolutions"
        )
    return store


def runs_at(
    settings: Settings,
    resolutions: Sequence[int],
    store: RunStore,
    pretrained: str | None = None,
    warm_start: str | None = None,
) -> list[RunAt]:
    """Return a run for each resolution, in their order.

    Args:
        settings: What they have in common.
        resolutions: In pixels.
        store: The folder of all.
        pretrained: Such a folder whose supernets are taken over, or None.
        warm_start: Such a folder of which is taken over what is the same, or None.

    Raises:
        UserError: A resolution does not go with the settings, or a folder is none of such runs.
    """
    supernets = _sources("pretrained", pretrained)
    earlier = _sources("from", warm_start)
    return [
        RunAt(each, own, store_at(store.address, each), supernets.get(each), earlier.get(each))
        for each, own in at_resolutions(settings, resolutions).items()
    ]


def _sources(flag: str, folder: str | None) -> dict[int, str]:
    """Return the run folders by resolution of which runs take over."""
    if folder is None:
        return {}
    found = {each: store_at(folder, each).address for each in resolutions_in(RunStore(folder))}
    if not found:
        raise UserError(
            f"--{flag} {RunStore(folder).uri} with --resolutions: wanted the folder of a run at "
            "each of several resolutions, which holds at-96 and the like"
        )
    return found


def plan_each(
    runs: Sequence[RunAt], console: Console, probing: bool = True, verbose: bool = False
) -> None:
    """Say the plan of each run, its forecast, and what all of them take; nothing is written.

    Args:
        runs: The runs.
        console: Where to say it.
        probing: Make forecasts by a probe of some seconds for each.
        verbose: Show Ray's own messages.

    Raises:
        UserError, StageError: What was asked for cannot work at one of the resolutions.
    """
    expected = []
    with connected(verbose=verbose):
        for number, each in enumerate(runs, start=1):
            say_which(each, number, len(runs), console)
            with each.named(), _planned(each, console, probing) as run:
                expected.append(run.expected)
    known = [usage for usage in expected if usage is not None]
    if known and len(known) == len(expected):
        console.print(f"forecast  of all {len(runs)} runs: {total_words(known)}", soft_wrap=True)


def do_each(
    runs: Sequence[RunAt],
    work: Callable[[RunAt], None],
    console: Console,
    verbose: bool = False,
) -> None:
    """Do what is left of the runs, one after another, in one cluster.

    What cannot work at one of the resolutions is refused before any run begins.

    Args:
        runs: The runs.
        work: Does one of them.
        console: Where to say which one it is.
        verbose: Show Ray's own messages.

    Raises:
        UserError, StageError: One cannot work, or failed; the others are left as they are.
    """
    left = [each for each in runs if not each.is_finished]
    if not left:
        return
    with connected(verbose=verbose):
        quiet = Console(file=io.StringIO())
        for each in reversed(left):  # so that the images of the first one are read at last
            if not each.is_begun:
                with each.named(), _planned(each, quiet, probing=False):
                    pass
        for each in left:
            say_which(each, runs.index(each) + 1, len(runs), console)
            with each.named():
                work(each)


def _planned(each: RunAt, console: Console, probing: bool) -> AbstractContextManager[Run]:
    options = Options(pretrained=each.pretrained, warm_start=each.warm_start, probing=probing)
    return planned(each.settings, each.store, console, **options)


def say_which(each: RunAt, number: int, count: int, console: Console) -> None:
    """Say at which resolution what follows is."""
    line = f"at {each.resolution} pixels ({number} of {count}): {each.store.uri}"
    console.print(line, style="bold", markup=False, highlight=False, soft_wrap=True)
