"""Measure what each candidate of a search space takes on a device, as a table that adds up.

    python launch/latency.py --space mobilenet_v2 --resolution 64 --out latency.parquet
    python launch/latency.py --space mobilenet_v2 --data DIR --resource phone --out s3://b/t.parquet
    python launch/search.py --space mobilenet_v2 --latency-table latency.parquet --max-latency 12ms

Candidates are timed by themselves and in random whole networks; the table is fitted to both, and
its error is that on further whole networks. Latencies are of a batch, of float32 networks in eval
mode; --quantile tells which of the repeats counts. A node of a Ray cluster is named by a custom
resource of its own. Exit codes are those of launch/search.py.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any

import tyro
from rich.console import Console

from raynas.cluster.planning.connection import connected, lasting, ship_by_value
from raynas.cluster.planning.latency_measurement import measured_on
from raynas.costs.latency_fit import spread_networks
from raynas.costs.latency_table import Task, circumstances, error_words, write
from raynas.data.loading import load_dataset
from raynas.errors import UserError
from raynas.nets.cost import cost_table
from raynas.nets.operations import Identity
from raynas.nets.timing import Setup, Timings, alike, measure
from raynas.recording.latency_rows import Measured, Rows, errors_of, fitted
from raynas.settings.images import ImageSettings
from raynas.settings.ranges import SEEDS, Interval
from raynas.settings.settings import Settings
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import SearchSpace, chain_of
from raynas.spaces.loading import SPACES, load_space, space_module_name
from raynas.terminal.cli import exit_code, make_console, run_script
from raynas.terminal.output import outlive_output
from raynas.terminal.progress_bars import Stages

_LEAST = {"batch": 1, "threads": 1, "repeats": 1, "nets": 0, "held_out": 0}
_BUSY = 0.05  # share of the time that a run was kept waiting
_CLOCKS = {
    "thread": "the thread's own clock leaves that out",
    "wall": "better measure when it is quiet",
}
_SHAPE = ("channels", "resolution", "num_classes")


@dataclass(frozen=True)
class Command:
    """Measure what each candidate of a search space takes on a device."""

    space: str = Settings().space
    """A name in search_spaces/ or a path to a Python file with a SPACE."""
    data: str | None = None
    """Images whose channels, resolution and classes count, as of launch/search.py."""
    parts: Annotated[str | None, tyro.conf.arg(name="images.parts")] = None
    """Which folders of --data are parts, as of launch/search.py."""
    resolution: int | None = None
    """Height and width of the images in pixels; unset: those of --data, else the space's."""
    channels: int | None = None
    """Channels of the images; unset: those of --data, else the space's."""
    num_classes: int | None = None
    """Classes of the task; unset: those of --data, else the space's."""
    batch: int = 1
    """Images at a time."""
    threads: int = 1
    """CPU threads."""
    device: str = "auto"
    """cpu, cuda, or auto: cuda where torch finds a GPU."""
    resource: str | None = None
    """Custom resource of the Ray node to measure on; unset: this machine."""
    nets: int = 40
    """Random whole networks that the table is fitted to; 0: isolated candidates alone."""
    held_out: int = 20
    """Further ones that tell its error."""
    repeats: int = 20
    """How many times each is timed, in rounds of all of them."""
    quantile: float = 0.1
    """Which of the repeats counts: 0.5 is the median, less leaves other programs' load out."""
    seed: int = 0
    """Seed of the random networks."""
    out: str | None = None
    """File to write, a path or URI; unset: runs/latency-SPACE-RESOLUTION.parquet."""
    json: bool = False
    """Print how it was measured, and how well it adds up, as JSON."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    return exit_code(lambda: run(parse(argv)))


def parse(argv: Sequence[str] | None) -> Command:
    """Return the command."""
    return tyro.cli(Command, args=argv, description=__doc__, config=(tyro.conf.FlagCreatePairsOff,))


def run(command: Command) -> None:
    """Measure, fit, write and print."""
    refuse_odd(command)
    outlive_output()
    loaded = load_space(command.space, SPACES)
    space = chain_of(loaded, "a table of latencies").with_identity(Identity())
    task = task_of(command, space)
    out = lasting(command.out or f"runs/latency-{space.name}-{task.resolution}.parquet")
    if not out.endswith(".parquet"):
        raise UserError(f"--out {out}: wanted a file ending in .parquet")
    costs = cost_table(space, task.resolution, task.channels, task.num_classes)
    setup = Setup(
        command.batch,
        task.channels,
        task.resolution,
        task.num_classes,
        command.threads,
        command.device,
    )
    nets = spread_networks(space, command.nets + command.held_out, command.seed)
    times = timed(command, space, nets, setup, make_console(stderr=command.json))
    measured = Measured(space, costs, nets, times, alike(space, setup))
    rows, whole = fitted(measured, command.quantile, command.held_out)
    facts = facts_of(command, space, task, times) | errors_of(whole)
    place, beside = write(out, rows, whole, facts)
    if command.json:
        print(json.dumps(facts | {"table": place, "nets_table": beside}))
        return
    show(facts, rows)
    print(f"table: {place}")
    print(f"whole networks: {beside}")


def refuse_odd(command: Command) -> None:
    """Refuse numbers that cannot be.

    Raises:
        UserError: Names the flag, what it is and what it must be.
    """
    for name, least in (_LEAST | dict.fromkeys(_SHAPE, 1)).items():
        number = getattr(command, name)
        if number is not None:
            Interval(f"[{least}, inf)").refuse(name.replace("_", "-"), number)
    SEEDS.refuse("seed", command.seed)
    Interval("[0, 1]").refuse("quantile", command.quantile)
    if command.device not in {"auto", "cpu", "cuda"}:
        raise UserError(f"--device {command.device}: wanted auto, cpu or cuda")


def task_of(command: Command, space: SearchSpace) -> Task:
    """Return what the networks are for: flags over the data over the space."""
    found = Task(space.in_channels, space.resolution, space.num_classes)
    if command.data is not None:
        images = ImageSettings(command.resolution, parts=command.parts)
        data = load_dataset(command.data, images, 0, space.resolution)
        found = Task(data.channels, data.resolution, data.num_classes)
    given = {name: getattr(command, name) for name in _SHAPE}
    return replace(found, **{name: value for name, value in given.items() if value is not None})


def timed(
    command: Command, space: SearchSpace, nets: list[Architecture], setup: Setup, console: Console
) -> Timings:
    """Return the times, taken here or on the node of the cluster that has the resource."""
    if command.resource is None:
        with Stages(console) as stages:
            return measure(
                space,
                nets,
                setup,
                command.repeats,
                stages.stage("measure", command.repeats, "rounds"),
            )
    with connected():
        ship_by_value(space_module_name(command.space))
        return measured_on(command.resource, space, nets, setup, command.repeats)


def facts_of(command: Command, space: SearchSpace, task: Task, times: Timings) -> dict[str, Any]:
    """Return how it was measured."""
    return {
        "space": space.name,
        **vars(task),
        "batch": command.batch,
        "threads": command.threads,
        "device": times.device,
        "kind": times.kind,
        "machine": times.machine,
        "resource": command.resource,
        "repeats": command.repeats,
        "quantile": command.quantile,
        "clock": times.clock,
        "waited": times.waited,
        "nets": command.nets,
        "seed": command.seed,
        "versions": times.versions,
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def show(facts: dict[str, Any], rows: Rows) -> None:
    """Print what was found, for a person."""
    task = Task(*(facts[name] for name in _SHAPE))
    print(f"{facts['space']}, {task}, on {facts['device']}, {circumstances(facts)}")
    if facts["waited"] > _BUSY:
        clock = _CLOCKS[facts["clock"]]
        print(f"the machine was busy: runs took {1 + facts['waited']:.2f} times as long; {clock}")
    ends = next(row["latency_ms"] for row in rows if row["candidate"] is None)
    layers: dict[int, list[float]] = {}
    for row in rows:
        if row["layer"] is not None:
            layers.setdefault(row["layer"], []).append(row["latency_ms"])
    low, high = (ends + sum(map(pick, layers.values())) for pick in (min, max))
    print(f"a network takes {low:.3g} to {high:.3g} ms, its stem and head {ends:.3g} ms of that")
    if not facts["held_out"]:
        print("no network was held out: how well the table adds up is not known")
        return
    print(f"the table is{error_words(facts).removeprefix(',')}")
    by_macs = facts["macs_median_error"]
    words = [
        f"sums of isolated candidates by {100 * facts['isolated_bias']:+.1f} %",
        *([f"a line over MACs by {100 * by_macs:.1f} %"] if by_macs is not None else []),
    ]
    print(f"on the same networks, in the median: {', '.join(words)}")


if __name__ == "__main__":
    run_script(main)
