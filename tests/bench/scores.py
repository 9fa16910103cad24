"""Every score against a truth: tau with its interval, within equal depth and MACs, and its time.

    python -m tests.bench.scores --truth macro --networks 80 --seeds 2
    python -m tests.bench.scores --truth accel --resolution 64 --networks 60
    python -m tests.bench.scores --truth macro --scores --networks 20 --seeds 3 \
        --initialisations qr gaussian --supernets fair_saliency spos --steps 296 --accuracies 20
    python -m tests.bench.scores --truth FILE --space small_mobile --scores --runs runs/a runs/b

``--scores`` names those of untrained networks; they look at ``--networks`` of the truth, the same
ones for all seeds, which draw weights and images. ``--supernets`` names methods that are
pretrained here, once per seed and kind of weights; each gives all its sums over layers, and on
``--accuracies`` networks its accuracy. ``--runs`` are run folders of one method, a seed each. Sums
and yardsticks stand against those networks and against all of the truth. The last line is a JSON
object of all rows. It measures and asserts nothing.
"""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from raynas.benchmark.log_ranks import log_ranks
from raynas.benchmark.ranking import tau
from raynas.benchmark.yardsticks import trivial_scores
from raynas.data.dataset import Dataset
from raynas.data.loading import load_dataset
from raynas.nets.proxies import PROXIES
from raynas.settings.images import ImageSettings
from raynas.settings.settings import Settings
from raynas.training.scoring import ProxyScore
from tests.bench.agreement import HEADER, Measured, line
from tests.bench.known_truths import DATA, Known, load_known
from tests.bench.supernet_scores import Weights, method_settings, pretrained, recorded, summed, told

_AZ_NAS = ("az_expressivity", "az_progressivity", "az_trainability")


@dataclass(frozen=True)
class Command:
    """Hold every score against a truth."""

    truth: str
    """macro, accel, own, or a file that analysis/ranking.py --truth reads."""
    space: str | None = None
    """The space of a file."""
    data: str = str(DATA / "cifar10")
    """Images, as launch/search.py takes them."""
    share: float = 0.2
    """Share of the images."""
    resolution: int | None = None
    """Pixels; unset: those of the space."""
    networks: int = 100
    """Networks of the truth that are scored one by one."""
    seeds: int = 1
    """Repetitions."""
    first_seed: int = 0
    """Seed of the first repetition."""
    initialisations: tuple[Weights, ...] = ("qr",)
    """Kinds of weights, also of the supernets, whatever their methods have."""
    scores: tuple[str, ...] = tuple(PROXIES)
    """Scores of untrained networks."""
    supernets: tuple[str, ...] = ()
    """Methods that are pretrained here."""
    steps: int = 296
    """Steps of each pretraining, of as many paths as its method takes."""
    accuracies: int = 0
    """Networks that each supernet evaluates."""
    keep: str | None = None
    """Folder in which what supernets say is kept, so that the same command goes on."""
    runs: tuple[str, ...] = ()
    """Run folders of one method, a seed each."""
    threads: int = 1
    """CPU threads."""

    @property
    def all_seeds(self) -> range:
        """The seeds of the repetitions."""
        return range(self.first_seed, self.first_seed + self.seeds)


class Table:
    """Rows by name, which repetitions add to."""

    def __init__(self) -> None:
        self.rows: dict[str, Measured] = {}

    def add(self, name: str, known: Known, values: Any, seconds: float | None = None) -> None:
        """Add a repetition of a score of networks."""
        key = f"{name}, {len(known.truth.accuracy)}"
        row = self.rows.setdefault(key, Measured(name, known.truth))
        row.values.append(np.asarray(values, dtype=np.float64))
        if seconds is not None:
            row.seconds.append(seconds)


def main() -> None:
    """Measure and print."""
    command = tyro.cli(Command)
    torch.set_num_threads(command.threads)
    known = load_known(command.truth, command.space)
    few, table = known.sample(command.networks), Table()
    parts = (known,) if len(few.truth.accuracy) == len(known.truth.accuracy) else (few, known)
    for part in parts:
        for name, values in trivial_scores(part.truth).items():
            if values is not None:
                table.add(name, part, values)
    for folder in command.runs:
        add_sums(table, recorded(folder), "recorded", parts)
    for seed in command.all_seeds if command.scores or command.supernets else ():
        dataset = images_of(command, known, seed)
        for kind in command.initialisations:
            add_untrained(table, command, few, dataset, kind, seed)
            for method in command.supernets:
                settings = method_settings(method, seed, kind)
                add_supernet(table, command, settings, parts, dataset)
    rows = [row.row() for row in table.rows.values()]
    print(HEADER)
    for row in rows:
        print(line(row))
    print(json.dumps({"command": vars(command), "rows": rounded(rows)}).replace("NaN", "null"))


def rounded(value: Any) -> Any:
    """Return numbers with four digits behind the point."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each) for each in value]
    return round(value, 4) if isinstance(value, float) else value


def images_of(command: Command, known: Known, seed: int) -> Dataset:
    """Return the images of a seed."""
    images = ImageSettings(share=command.share, resolution=command.resolution)
    return load_dataset(command.data, images, seed, known.space.resolution)


def add_untrained(
    table: Table, command: Command, few: Known, dataset: Dataset, kind: Weights, seed: int
) -> None:
    """Score untrained networks by each score, and AZ-NAS' three and MACs by ranks."""
    if not command.scores:
        return
    settings = method_settings("naswot", seed, kind)
    found = dict(zip(command.scores, scored(command.scores, few, dataset, settings), strict=True))
    for name, (values, seconds) in found.items():
        table.add(f"{name}, {kind}", few, values, seconds)
    if set(_AZ_NAS) <= found.keys():
        values = [found[name][0] for name in _AZ_NAS]
        assert few.truth.macs is not None
        took = sum(found[name][1] for name in _AZ_NAS)
        table.add(f"az_nas by ranks, {kind}", few, log_ranks([*values, few.truth.macs]), took)
    print(f"{kind}, seed {seed}: {len(few.truth.accuracy)} untrained networks", flush=True)


def scored(
    names: Iterable[str], few: Known, dataset: Dataset, settings: Settings
) -> Iterator[tuple[Any, float]]:
    """Return for each score its values, and the median of its seconds."""
    names = tuple(names)
    batch = ProxyScore(few.space, dataset, settings, "cpu", "naswot")
    values, seconds = np.empty((2, len(names), len(few.truth.architectures)))
    for at, architecture in enumerate(few.truth.architectures):
        network = batch.untrained(architecture)
        for row, name in enumerate(names):
            started = time.perf_counter()
            values[row, at] = PROXIES[name](network, batch.images, batch.labels)
            seconds[row, at] = time.perf_counter() - started
    merged = (few.truth.merged(row) for row in values)
    return zip(merged, np.median(seconds, axis=1).tolist(), strict=True)


def add_supernet(
    table: Table, command: Command, settings: Settings, parts: Sequence[Known], dataset: Dataset
) -> None:
    """Pretrain, or read what was kept, and score by every sum over layers and by accuracy."""
    label = f"{settings.method}, {settings.pretrain.initialisation}"
    few = parts[0].sample(command.accuracies) if command.accuracies else None
    data = Path(command.data).name
    asked = (
        data,
        command.steps,
        command.share,
        command.resolution,
        command.networks,
        command.accuracies,
    )
    name = ", ".join(map(str, (Path(command.truth).stem, label, settings.seed, *asked)))
    said = kept(command, name)
    if said is None:
        supernet = pretrained(settings, parts[0].space, dataset, command.steps)
        said = {"seconds": supernet.seconds, "told": told(supernet)}
        said["sums"] = {key: [row.tolist() for row in rows] for key, rows in supernet.sums()}
        if few:
            values, seconds = supernet.accuracies(few.truth.architectures, dataset)
            said |= {"accuracies": values.tolist(), "each": seconds}
        keep(command, name, said)
    sums = [(key, [np.array(row) for row in rows]) for key, rows in said["sums"].items()]
    taus = add_sums(table, sums, label, parts, said["seconds"])
    print(said["told"], json.dumps(rounded(taus)), flush=True)
    if few:
        values = few.truth.merged(said["accuracies"])
        table.add(f"accuracy of {label}", few, values, said["each"])


def kept(command: Command, name: str) -> dict[str, Any] | None:
    """Return what was kept of a supernet, or None."""
    file = Path(command.keep or "", f"{name}.json")
    found: dict[str, Any] | None = None
    if command.keep and file.exists():
        found = json.loads(file.read_text())
    return found


def keep(command: Command, name: str, said: dict[str, Any]) -> None:
    """Keep what a supernet says, if that is wanted."""
    if command.keep:
        Path(command.keep).mkdir(parents=True, exist_ok=True)
        part = Path(command.keep, f"{name}.part")
        part.write_text(json.dumps(said))
        part.replace(Path(command.keep, f"{name}.json"))


def add_sums(
    table: Table,
    tables: Iterable[tuple[str, Any]],
    label: str,
    parts: Iterable[Known],
    seconds: float | None = None,
) -> dict[str, float]:
    """Score the networks by every table, in the time of the pretraining; return tau of each."""
    taus = {}
    for name, sums in tables:
        for part in parts:
            values = part.truth.merged(summed(sums, part.truth.architectures))
            table.add(f"{name} of {label}", part, values, seconds)
            taus[name] = tau(values, part.truth.accuracy)  # of the last part, all networks
    return taus


if __name__ == "__main__":
    main()
