"""Runs of several seeds, pooled over the test images that they share: winners against rivals.

    python -m tests.bench.pooled RUN RUN...
    python -m tests.bench.pooled RUN RUN... against RUN RUN...

Of each run its best network is compared with each rival by name, or with the best network of the
run at the same place behind "against": the same seed under another setting. Runs share the test
images, not the networks: an image's difference is the mean over the runs, and images are drawn
anew, so that the answers to an image stay together. The interval is of these runs; other seeds may
differ by more, which the differences of single runs show. Accuracies and points are percentages.
"""

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console

from raynas.costs.costs import show_quantity
from raynas.errors import UserError
from raynas.reporting.answers import RecordedAnswers, recorded_answers
from raynas.reporting.paired import bootstrap_interval
from raynas.reporting.rivals import trained
from raynas.storage.outcome_rows import networks_of
from raynas.storage.run_store import RunStore
from raynas.terminal.cli import exit_code, make_console, run_script
from raynas.terminal.text_tables import Column, TextTable

Numbers = npt.NDArray[np.float64]
_HEADINGS = (
    *("rival", "runs", "winner\nMACs", "rival\nMACs", "winner\n%", "rival\n%"),
    *("points", "low", "high", "by run"),
)


@dataclass(frozen=True)
class Pair:
    """A run's best network and a rival on the N test images.

    Attributes:
        label: N classes, by which runs are known to share their images.
        right: 2 x N, whether the best network and the rival are right.
        macs: Of both.
    """

    label: npt.NDArray[np.int32]
    right: npt.NDArray[np.bool_]
    macs: tuple[int, int]

    @property
    def differences(self) -> Numbers:
        """N, in {-1, 0, 1}."""
        found: Numbers = self.right[0].astype(np.float64) - self.right[1]
        return found


@dataclass(frozen=True)
class Pooled:
    """What several runs say of winners and a rival.

    Attributes:
        accuracies: Of winners and rivals, means over the runs.
        macs: Likewise.
        difference: Of the accuracies.
        interval: Its 95 % interval, images drawn anew.
        single: The difference in each run.
    """

    accuracies: tuple[float, float]
    macs: tuple[float, float]
    difference: float
    interval: tuple[float, float]
    single: tuple[float, ...]


def pairs_of(stores: Sequence[RunStore]) -> dict[str, list[Pair]]:
    """Return what each run's best network and its rivals answered, by the rivals' names.

    Raises:
        UserError: A run has no answers, or other test images than the first one.
    """
    found: dict[str, list[Pair]] = defaultdict(list)
    for store in stores:
        best = _best(store)
        for row in trained(store.rows("rivals")):
            answers = recorded_answers(store, row) if row["status"] == "finished" else None
            if answers is not None:
                found[row["rival"]].append(_pair(best, (row["macs"], answers)))
    if not found:
        raise UserError("run folders: no rivals with answers there; begin runs with --rivals")
    return found


def pairs_against(stores: Sequence[RunStore], others: Sequence[RunStore]) -> list[Pair]:
    """Return what the best networks of runs answered beside those of other runs, one for each.

    Raises:
        UserError: A run has no answers, there are not as many others, or test images differ.
    """
    if len(stores) != len(others):
        counts = f"{len(stores)} before against, {len(others)} behind it"
        raise UserError(f"run folders: {counts}; give as many")
    return [_pair(_best(one), _best(other)) for one, other in zip(stores, others, strict=True)]


def _best(store: RunStore) -> tuple[int, RecordedAnswers]:
    """Return the MACs and the answers of a run's best network."""
    networks = networks_of(store.rows("outcomes"))
    best = recorded_answers(store, networks[0]) if networks else None
    if best is None:
        raise UserError(f"run folder {store.uri}: no answers there; finish the run by raynas")
    return networks[0]["macs"], best


def _pair(winner: tuple[int, RecordedAnswers], rival: tuple[int, RecordedAnswers]) -> Pair:
    if not np.array_equal(winner[1].label, rival[1].label):
        raise UserError("run folders: their test images differ; compare runs that share them")
    right = np.stack([winner[1].right, rival[1].right])
    return Pair(winner[1].label, right, (winner[0], rival[0]))


def pool(pairs: Sequence[Pair]) -> Pooled:
    """Return what runs say together.

    Args:
        pairs: One of each run.

    Raises:
        UserError: Runs have not the same test images.
    """
    if any(not np.array_equal(pairs[0].label, each.label) for each in pairs):
        raise UserError("run folders: their test images differ; pool runs that share them")
    winner, rival = np.mean([pair.right.mean(axis=1) for pair in pairs], axis=0).tolist()
    macs = np.mean([pair.macs for pair in pairs], axis=0).tolist()
    by_image = np.mean([pair.differences for pair in pairs], axis=0)
    single = tuple(float(pair.differences.mean()) for pair in pairs)
    interval = bootstrap_interval(by_image)
    return Pooled((winner, rival), tuple(macs), float(by_image.mean()), interval, single)


def table_of(found: Mapping[str, Pooled]) -> TextTable:
    """Return a row a rival."""
    columns = [Column(name, folds=name == "rival") for name in _HEADINGS]
    return TextTable(columns, [_row(*each) for each in found.items()], "Winners less rivals")


def _row(name: str, of: Pooled) -> tuple[str, ...]:
    numbers: tuple[Any, ...] = (of.difference, *of.interval)
    return (
        name,
        str(len(of.single)),
        *(show_quantity(round(each)) for each in of.macs),
        *(f"{100 * each:.2f}" for each in of.accuracies),
        *(f"{100 * each:+.2f}" for each in numbers),
        " ".join(f"{100 * each:+.2f}" for each in of.single),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table and return the exit code."""
    folders = sys.argv[1:] if arguments is None else arguments
    return exit_code(lambda: _show(folders, make_console()), (UserError, OSError))


def _show(folders: Sequence[str], console: Console) -> None:
    if not folders:
        raise UserError("run folders: got none, wanted at least one")
    end = folders.index("against") if "against" in folders else len(folders)
    stores = [
        [RunStore.open(each) for each in part] for part in (folders[:end], folders[end + 1 :])
    ]
    found = {"the other run": pairs_against(*stores)} if stores[1] else pairs_of(stores[0])
    console.print(table_of({name: pool(pairs) for name, pairs in found.items()}))
    count = len(next(iter(found.values()))[0].label)
    print(f"{count:,} test images; points: winner less rival, paired bootstrap over images, 95 %")


if __name__ == "__main__":
    run_script(main)
