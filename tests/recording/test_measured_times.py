"""Times that an image takes trained networks: measured side by side, once all are there."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from torch import nn

from raynas.nets.timing import Setup
from raynas.recording import measured_times
from raynas.recording.measured_times import measure_times
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.run_store import RunStore
from tests.builders import shipped_space
from tests.exported import build_run

SPACE = shipped_space("small_mobile", identity=True)
SMALL, LARGE = "0-4-4-0-4-4", "3-3-3-3-3-3"
STOPPED = "1-1-1-1-1-1"
SHARED = "macs", "params", "status", "checkpoint"


@pytest.fixture
def run(tmp_path: Path) -> RunStore:
    """Return a run of two trained networks, one of which stands beside itself as a rival."""
    store = build_run(str(tmp_path / "run"), SPACE, [SMALL, LARGE], stopped=[STOPPED])
    (large,) = (row for row in store.rows("outcomes") if row["architecture"] == LARGE)
    rivals = [
        {"rival": "random", "network": LARGE, **{name: large[name] for name in SHARED}},
        {"rival": "resnet18", "status": "left out", "error": "it is too large"},
    ]
    store.append("rivals", rivals, part="rivals")
    return store


def measure(store: RunStore) -> dict[str, float | None]:
    """Return the times by network."""
    measure_times(store, SPACE, PlanFacts.from_json(store.rows("runs")[0]["plan"]))
    rows = [*store.rows("outcomes"), *store.rows("rivals")]
    return {row.get("rival") or row["architecture"]: row["measured_ms"] for row in rows}


def test_networks_trained_to_their_ends_have_a_time_and_a_larger_one_takes_longer(
    run: RunStore,
) -> None:
    before = run.rows("outcomes")
    found = measure(run)

    assert found[STOPPED] is found["resnet18"] is None
    assert (found[SMALL] or 0) < (found[LARGE] or 0) == found["random"]
    unmeasured = [row | {"measured_ms": None} for row in run.rows("outcomes")]
    assert unmeasured == before


def test_they_stay_until_a_network_joins_and_then_all_are_measured_again(
    run: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = counted(monkeypatch)
    first = measure(run)
    assert measure(run) == first
    assert calls == [2]

    small = next(row for row in run.rows("outcomes") if row["architecture"] == SMALL)
    run.delete(small["checkpoint"])  # of it nothing can be measured
    assert measure(run) == first
    rows = [row | {"measured_ms": None} for row in run.rows("rivals")]
    run.append("rivals", rows, part="rivals")
    measure(run)
    assert calls == [2, 1]


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return how many networks are timed together, in each call."""
    calls: list[int] = []
    latencies: Callable[..., list[int]] = measured_times.latencies_of

    def counting(networks: Sequence[nn.Module], setup: Setup, **rest: float) -> list[int]:
        calls.append(len(networks))
        assert (setup.batch, setup.threads, setup.chosen_device) == (1, 1, "cpu")
        assert not any(network.training for network in networks)
        return latencies(networks, setup, **rest)

    monkeypatch.setattr(measured_times, "latencies_of", counting)
    return calls
