"""What a large run costs raynas itself: seconds, memory and bytes, without the networks' training.

    python -m tests.bench.large search [--architectures N]
    python -m tests.bench.large trials [--trials N] [--architectures N]
    python -m tests.bench.large steps [--rows N]

``search`` evolves mobilenet_v2 under limits by random indicators and records it; ``trials`` ends
Tune trials that train nothing; ``steps`` writes the table of a long pretraining as its journal
does, continues, compacts and reads it. Each prints a JSON object. It measures and asserts nothing.
"""

import json
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tyro
from ray import tune

from analysis.summary import summarise
from raynas.cluster.planning.connection import connected
from raynas.cluster.planning.trial_resources import TrialSize
from raynas.cluster.tune.retrain_trials import run_trials
from raynas.cluster.tune.searchers import EvolutionSearcher
from raynas.cluster.tune.trial_recorder import TrialRecorder
from raynas.costs.costs import CostTable, Limits
from raynas.nets.cost import cost_table
from raynas.recording.outcomes import Outcomes, SearchLog
from raynas.recording.pretraining_log import Journal
from raynas.search.constrained_sampling import LegalSampler
from raynas.search.evolution import Evolution
from raynas.search.indicators import AdditiveScorer
from raynas.seeds import Stream, random_numbers
from raynas.settings.pretrain import PretrainSettings
from raynas.settings.retrain import RetrainSettings
from raynas.settings.search import SearchSettings
from raynas.settings.settings import Settings
from raynas.spaces.loading import load_space
from raynas.storage.run_store import RunStore
from raynas.storage.schemas import SCHEMAS
from tests.bench.uses import Use
from tests.data.samples import begin_pretraining, tiny_space

ROOT = Path(__file__).parents[2]
_PART = 1000  # rows of a part of the table steps
_POPULATION = 500


def main(
    what: tyro.conf.Positional[Literal["search", "trials", "steps"]],
    architectures: int = 100_000,
    trials: int = 1000,
    rows: int = 10_000_000,
) -> None:
    """Measure one of a run's stages in this process.

    Args:
        what: The stage.
        architectures: Scored by the search.
        trials: Retrained.
        rows: Of the table steps.
    """
    with tempfile.TemporaryDirectory() as folder:
        store = RunStore.create(f"{folder}/run")
        match what:
            case "search":
                found = search(store, architectures)
            case "trials":
                found = retrain(store, architectures, trials)
            case "steps":
                found = pretrain(store, rows)
        print(json.dumps({"what": what} | found))


def search(store: RunStore, architectures: int) -> dict[str, Any]:
    """Evolve with a search log; return what that took and what lies in the run folder."""
    write, written = RunStore.write_bytes, [0]

    def counting(store: RunStore, path: str, content: bytes) -> None:
        written[0] += len(content)
        write(store, path, content)

    RunStore.write_bytes = counting  # type: ignore[method-assign, assignment]  # for this process alone
    found: dict[str, Any] = {"before_mib": peak_mib()}
    searcher, _ = make_searcher(store, architectures, 3)
    with timed(found, "search_s"):
        searcher.evolve()
    found |= {"peak_mib": peak_mib(), "written_mib": round(written[0] / 2**20, 1)}
    with timed(found, "compact_s"):
        store.compact()
    return found | {"scored": store.table("architectures").num_rows, "files": files(store)}


def make_searcher(
    store: RunStore, architectures: int, top_k: int
) -> tuple[EvolutionSearcher, CostTable]:
    """Return a searcher that has scored nothing yet, and the costs of its architectures."""
    space = load_space("mobilenet_v2", ROOT / "search_spaces")
    costs = cost_table(space, space.resolution, 3, 10)
    least, most = costs.smallest, costs.largest
    limits = Limits((least.macs + most.macs) // 2, (least.params + most.params) // 2)
    settings = SearchSettings(
        generations=architectures // _POPULATION,
        population=_POPULATION,
        parents=50,
        mutations=200,
        crossovers=200,
    )
    rng = random_numbers(0, Stream.BENCH, Use.INDICATORS)
    scorer = AdditiveScorer([rng.random(block.size) for block in space.blocks])
    evolution = Evolution(LegalSampler(costs, limits), settings, 0)
    search_log = SearchLog(store, costs, advance)
    return EvolutionSearcher(evolution, scorer, top_k, search_log), costs


def advance(done: int, text: str = "", left: float | None = None) -> None:
    """Show nothing."""


def retrain(store: RunStore, architectures: int, trials: int) -> dict[str, Any]:
    """Run trials that end at once; return what that took, and what part of it was raynas' own."""
    searcher, costs = make_searcher(store, architectures, trials)
    searcher.evolve()
    outcomes = Outcomes(store, costs)
    settings = RetrainSettings(top_k=trials, epochs=1)
    recorder = TrialRecorder(
        store, settings, advance, lambda end: outcomes.add(end, searcher.score_of)
    )
    spent: dict[str, float] = {}
    for kind, names in (
        (EvolutionSearcher, ("suggest", "on_trial_complete", "save")),
        (TrialRecorder, ("on_trial_result", "on_trial_complete")),
    ):
        for name in names:
            setattr(kind, name, adding(spent, f"{kind.__name__}.{name}", getattr(kind, name)))
    found: dict[str, Any] = {}
    with connected(num_cpus=2):
        before = peak_mib()
        with timed(found, "trials_s"):
            run_trials(at_once, searcher, [recorder], settings, TrialSize(), 2)
    found |= {"before_mib": before, "peak_mib": peak_mib()}
    with timed(found, "compact_s"):
        store.compact()
    return found | {
        "outcomes": store.table("outcomes").num_rows,
        "our_share": round(sum(spent.values()) / found["trials_s"], 3),
        "ours_s": {name: round(seconds, 2) for name, seconds in spent.items()},
        "files": files(store),
    }


def at_once(config: dict[str, Any]) -> None:
    """End a trial as if it had trained for an epoch."""
    accuracy = sum(map(int, config["architecture"].split("-"))) / 200
    epoch = {
        "epoch": 1,
        "train_loss": 1.0,
        "val_loss": 1.0,
        "val_accuracy": accuracy,
        "seconds": 0.0,
        "learning_rate": 0.1,
    }
    found = {"epoch": 1, "val_accuracy": accuracy, "test_accuracy": accuracy}
    tune.report(found | {"history": [epoch]})


def pretrain(store: RunStore, rows: int) -> dict[str, Any]:
    """Write the table of a pretraining and read it; return what each act took."""
    store.append("runs", [{"run": "large", "settings": Settings().to_json()}], "run")
    state = begin_pretraining(num_steps=rows)
    found: dict[str, Any] = {"before_mib": peak_mib()}
    with timed(found, "write_s"):
        write_steps(store, rows)
    state.step = rows - _PART // 2
    for name in ("continue", "continue_compacted"):
        with timed(found, f"{name}_s"):
            journal = Journal(store, state, tiny_space(), PretrainSettings(), 50_000)
        found[f"{name}_peak_mib"] = peak_mib()
        if name == "continue":
            with timed(found, "compact_s"):
                store.compact("steps")
            found["compact_peak_mib"] = peak_mib()
            state.step = rows
    acts: dict[str, Callable[[], Any]] = {
        "losses": journal.losses,
        "summary": lambda: summarise(store),
        "table": lambda: store.table("steps"),
    }
    for name, act in acts.items():
        with timed(found, f"{name}_s"):
            act()
        found[f"{name}_peak_mib"] = peak_mib()
    return found | {"files": files(store)}


def write_steps(store: RunStore, rows: int) -> None:
    """Write parts as long as the journal's."""
    rng = random_numbers(0, Stream.BENCH, Use.ROWS)
    schema = SCHEMAS["steps"]
    for first in range(0, rows, _PART):
        columns: dict[str, Any] = {name: rng.random(_PART) for name in schema.names}
        columns |= {"step": np.arange(first, first + _PART), "workers": np.full(_PART, 2)}
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table(columns, schema=schema), sink)
        store.write_bytes(f"tables/steps/{first:09d}.parquet", sink.getvalue().to_pybytes())


@contextmanager
def timed(found: dict[str, Any], name: str) -> Iterator[None]:
    """Note the seconds that something takes."""
    started = time.perf_counter()
    yield
    found[name] = round(time.perf_counter() - started, 2)


def adding(spent: dict[str, float], name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that adds up the seconds it takes."""

    @wraps(method)
    def timing(*args: Any, **named: Any) -> Any:
        started = time.perf_counter()
        try:
            return method(*args, **named)
        finally:
            spent[name] = spent.get(name, 0.0) + time.perf_counter() - started

    return timing


def peak_mib() -> int:
    """Return the most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def files(store: RunStore) -> dict[str, int]:
    """Return how many files each table has."""
    return {name: count for name in SCHEMAS if (count := len(store.list_files(f"tables/{name}")))}


if __name__ == "__main__":
    tyro.cli(main, description=__doc__, config=(tyro.conf.FlagCreatePairsOff,))
