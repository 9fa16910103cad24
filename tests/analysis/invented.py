"""A run folder of invented numbers: seeded, shaped like a real run's, and proof of nothing else."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from raynas.settings.search import SearchSettings
from raynas.settings.settings import Settings
from raynas.storage.run_store import RunStore

STARTED = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
OPERATIONS = ("k3e3", "k3e6", "k5e3", "k5e6", "k7e3", "k7e6", "identity")
REDUCTIONS = (0, 4, 8, 12, 16)  # layers where identity is impossible
VARIANTS = (
    ("qr", True, 0.05),
    ("qr", False, 0.1),
    ("gaussian", True, 0.05),
    ("gaussian", False, 1.0),
)
Row = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """How much an invented run has recorded."""

    layers: int = 20
    steps: int = 1500
    records: int = 10
    generations: int = 20
    population: int = 50
    retrained: int = 3
    epochs: int = 20


SMALL = Size(layers=6, steps=60, records=3, generations=3, population=10, retrained=2, epochs=4)


class InventedRun:
    """Writes the tables of one run, in the order in which a real run fills them."""

    def __init__(self, folder: Path, seed: int, size: Size) -> None:
        self.store = RunStore.create(str(folder))
        self.seed, self.size = seed, size
        self.rng = np.random.default_rng(seed)
        self.scored: list[Row] = []

    def start(self, finished: datetime | None = None) -> None:
        """Write the row of the run."""
        settings = Settings(
            space="mobilenet_v2",
            seed=self.seed,
            max_macs=330_000_000,
            search=SearchSettings(score="identity_ratio"),
        )
        row = {
            "run": self.store.name,
            "space": "mobilenet_v2",
            "settings": settings.to_json(),
            "method": "fair_isometry",
            "seed": self.seed,
            "git_commit": "0" * 40,
            "versions": '{"raynas": "0.1.0", "ray": "2.60.0", "torch": "2.9.1"}',
            "started": STARTED,
            "finished": finished,
            "nodes": 2,
            "cpus": 16.0,
            "gpus": 1.0,
        }
        self.store.append("runs", [row], "run")

    def pretrain(self, steps: int | None = None) -> None:
        """Write steps, all or the first ones."""
        count, total = steps or self.size.steps, self.size.steps
        progress = np.arange(count) / total
        losses = 1.1 + 1.2 * np.exp(-4 * progress) + self.rng.normal(0, 0.08, count)
        rows = [
            {
                "step": step,
                "epoch": 20 * step / total,
                "loss": loss,
                "seconds": 0.25,
                "learning_rate": 0.005 * (1 + np.cos(np.pi * step / total)),
                "images_per_second": 256.0,
                "workers": 8,
            }
            for step, loss in enumerate(losses)
        ]
        for first in range(0, count, 500):
            self.store.append("steps", rows[first : first + 500], f"{first:08}")

    def count_updates(self) -> None:
        """Write the ledger of a strictly fair pretraining."""
        rows = [
            {"layer": layer, "candidate": i, "operation": OPERATIONS[i], "updates": updates}
            for layer in range(self.size.layers)
            for i in range(6 if layer in REDUCTIONS else 7)
            for updates in [self.size.steps + (i % 2 + 250) * (layer in REDUCTIONS)]
        ]
        self.store.append("ledger", rows, "ledger")

    def measure(self) -> None:
        """Write the isometry of candidates, whose gains differ most for Gaussian weights alone."""
        rng = np.random.default_rng(self.seed)  # its own, so that the other tables stay the same
        rows = [
            {
                "layer": layer,
                "candidate": i,
                "operation": OPERATIONS[i],
                "phi": phi,
                "varphi": phi**2,
                "output_variance": 1.0,
                "initialisation": weights,
                "batch_norm": batch_norm,
            }
            for weights, batch_norm, deviation in VARIANTS
            for layer in range(self.size.layers)
            for i in range(6 if layer in REDUCTIONS else 7)
            for phi in [float(np.exp(rng.normal(0, deviation)))]
        ]
        self.store.append("isometry", rows, "initial")

    def record_indicators(self) -> None:
        """Write block and layer indicators that drift apart from a common start."""
        size, kinds = self.size, self.rng.normal(0, 0.12, (self.size.layers, 7))
        for record in range(size.records):
            share, rows = record / max(1, size.records - 1), []
            for layer in range(size.layers):
                stage = 1 + 0.08 * (layer // 4)
                values = stage + share * (kinds[layer] + 0.02 * np.arange(7) - 0.1)
                named: list[tuple[int | None, str, str, float]]
                named = [(i, OPERATIONS[i], "block", values[i]) for i in range(6)]
                if layer not in REDUCTIONS:
                    named.append((None, "identity", "layer", values[6] - 0.2 * share))
                rows += [
                    {
                        "step": round(share * (size.steps - 1)),
                        "layer": layer,
                        "candidate": i,
                        "operation": operation,
                        "kind": kind,
                        "value": value,
                    }
                    for i, operation, kind, value in named
                ]
            self.store.append("indicators", rows, f"{record:04}")

    def search(self, generations: int | None = None) -> None:
        """Write scored architectures, all generations or the first ones."""
        count = self.size.generations if generations is None else generations
        for generation in range(count):
            rows = [
                self._scored(generation, len(self.scored) + i) for i in range(self.size.population)
            ]
            self.scored += rows
            self.store.append("architectures", rows, f"{generation:04}")

    def _scored(self, generation: int, order: int) -> Row:
        choices = self.rng.integers(0, 6, self.size.layers)
        place = order % self.size.population / self.size.population
        origin = "mutation" if place < 0.5 else "crossover" if place < 0.96 else "random"
        origin = "random" if generation == 0 else origin
        lift = 0.0 if origin == "random" else 1.5 * (1 - np.exp(-generation / 6))
        text = "-".join(map(str, choices))
        return {
            "order": order,
            "generation": generation,
            "architecture": text,
            "origin": origin,
            "parents": "" if origin == "random" else " ".join([text] * (1 + (place >= 0.5))),
            "score": 20 + lift + self.rng.normal(0, 0.35),
            "params": 3_000_000 + order,
            "macs": 250_000_000 + int(choices.sum()) * 1_000_000 + 111_111,
        }

    def retrain(self) -> None:
        """Write trials and outcomes of the best, one stopped and one failed."""
        best = sorted(self.scored, key=lambda row: -row["score"])[: self.size.retrained]
        outcomes = []
        for rank, row in enumerate(best, 1):
            rows = self._epochs(row["architecture"], rank, self.size.epochs)
            self.store.append("trials", rows, f"trial-{rank}")
            val = rows[-1]["val_accuracy"]
            outcomes.append(self._outcome(row, rank, "finished", val, val - 0.004))
        stopped, failed = self.scored[:2]
        outcomes.append(self._outcome(stopped, len(best) + 1, "stopped", 0.61, None))
        failure = self._outcome(failed, len(best) + 2, "failed", None, None)
        error = "Traceback (most recent call last):\n  File x\nRuntimeError: [0] out of memory\n"
        outcomes.append(failure | {"error": error})
        self.store.append("outcomes", outcomes, "outcomes")

    def _epochs(self, architecture: str, rank: int, count: int) -> list[Row]:
        level, noise = 0.95 - 0.012 * rank, self.rng.normal(0, 0.006, count)
        return [
            {
                "trial": f"trial-{rank}",
                "architecture": architecture,
                "epoch": epoch,
                "train_loss": 0.5 + 1.8 * np.exp(-epoch / 5) + 0.02 * rank,
                "val_loss": 0.62 + 1.6 * np.exp(-epoch / 5) + 0.03 * rank + noise[epoch - 1],
                "val_accuracy": level - 0.5 * np.exp(-epoch / 4) + noise[epoch - 1],
                "seconds": 31.5,
                "learning_rate": 0.025 * (1 + np.cos(np.pi * epoch / count)),
            }
            for epoch in range(1, count + 1)
        ]

    def _outcome(
        self, row: Row, rank: int, status: str, val: float | None, test: float | None
    ) -> Row:
        kept = {name: row[name] for name in ("architecture", "score", "macs", "params")}
        return kept | {
            "rank": rank,
            "val_accuracy": val,
            "test_accuracy": test,
            "status": status,
            "epochs": self.size.epochs if status == "finished" else 3,
            "error": None,
            "checkpoint": f"models/{rank}.safetensors",
        }

    def finish(self) -> "InventedRun":
        """Write everything."""
        self.start()
        self.measure()
        self.pretrain()
        self.count_updates()
        self.record_indicators()
        self.search()
        self.retrain()
        self.start(STARTED + timedelta(seconds=5400))
        return self
