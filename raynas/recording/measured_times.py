"""How long an image takes each trained network of a run: measured side by side, when all are there.

Single timings on a busy machine do not compare, so all networks take turns in one process, and are
timed again, all of them, when another one joins.
"""

from collections.abc import Mapping
from itertools import chain
from typing import Any

from raynas.costs.latency_table import Task
from raynas.nets.timing import Setup, latencies_of
from raynas.spaces.protocol import Space
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.run_store import RunStore
from raynas.training.checkpoints import is_whole, read_model
from raynas.training.new_network import chosen_of, trained_network

_TABLES = ("outcomes", "rivals")
_SECONDS = 4.0  # after which there is no further round


def measure_times(store: RunStore, space: Space, facts: PlanFacts) -> None:
    """Write ``measured_ms`` of all networks that were trained to their ends, unless all have it.

    The median time of one image on this machine: by one thread of the CPU, in float32, as it would
    be deployed.

    Args:
        store: The run folder.
        space: The searched space, with identity where the run has it.
        facts: What the run recorded of its images.
    """
    tables = {name: store.rows(name) for name in _TABLES}
    trained = [
        row
        for row in chain.from_iterable(tables.values())
        if row["status"] == "finished" and is_whole(store, row["checkpoint"])
    ]
    if all(row["measured_ms"] is not None for row in trained):
        return
    # of one that was trained twice, once on all images, either does
    checkpoints = {_network_of(row): row["checkpoint"] for row in trained}
    task = Task(facts.channels or 0, facts.resolution, len(facts.classes))
    networks = [  # trained: tiny numbers, to which new weights may lead, are slow
        trained_network(space, chosen_of(text), task, read_model(store, path))
        for text, path in checkpoints.items()
    ]
    setup = Setup(1, task.channels, task.resolution, task.num_classes, device="cpu")
    times = latencies_of(networks, setup, within_seconds=_SECONDS)
    found = {text: time / 1e6 for text, time in zip(checkpoints, times, strict=True)}
    for name, rows in tables.items():
        timed = [row | {"measured_ms": found.get(_network_of(row))} for row in rows]
        if timed:
            store.append(name, timed, part=name)


def _network_of(row: Mapping[str, Any]) -> str:
    """Return the text of the network that a row is of."""
    return str(row.get("network") or row.get("architecture") or row.get("rival"))
