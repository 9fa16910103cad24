"""How long candidates and whole networks take on this device, measured side by side.

Every round times everything once in an order of its own, so that a neighbour's load or a clock
that slows down hits parts and networks alike; the rounds are kept apart for whoever takes
quantiles of them. Networks run as they would be deployed: eval mode, no gradients, float32.
A single CPU thread is timed by its own clock, which stands still while the scheduler lets others
run: on an idle device both clocks agree, on a busy one only this one tells how long the work is.
Source: the look-up tables of ProxylessNAS (Cai et al. 2019) and Once-for-All (Cai et al. 2020).
"""

import math
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from raynas.errors import UserError
from raynas.nets.processors import device_name, threads_of_torch
from raynas.seeds import Stream, random_numbers
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import SearchSpace

_LEAST_SECONDS = 1e-3  # of a sample: shorter ones are dominated by the clock and the interpreter
_WARM_UPS = 3
_LEAST_ROUNDS = 3
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Setup:
    """Under which circumstances networks are timed.

    Attributes:
        batch: Images at a time.
        channels: Of an image.
        resolution: Its height and width in pixels.
        num_classes: Of the task.
        threads: CPU threads.
        device: cpu, cuda, or auto: cuda where torch finds a GPU.
    """

    batch: int
    channels: int
    resolution: int
    num_classes: int
    threads: int = 1
    device: str = "auto"

    @property
    def chosen_device(self) -> str:
        """The device on this machine: cpu or cuda.

        Raises:
            UserError: A GPU is wanted and torch finds none.
        """
        if self.device == "cuda" and not torch.cuda.is_available():
            raise UserError("--device cuda: torch finds no GPU there; use cpu, or auto")
        if self.device != "auto":
            return self.device
        return "cuda" if torch.cuda.is_available() else "cpu"


@dataclass(frozen=True)
class Timings:
    """Seconds of single runs.

    Attributes:
        fixed: Of stem and head together (R rounds).
        candidates: ``candidates[layer][candidate]`` (R); equal operations on equal shapes share one
            array.
        nets: Of whole networks (N x R).
        clock: wall, or thread: the time that the thread has run.
        waited: The share by which the wall clock was ahead in the median, on a busy machine.
        kind: cpu or cuda.
        device: What they ran on, in words.
        machine: The host's name.
        versions: Of Python and torch there.
    """

    fixed: Array
    candidates: tuple[tuple[Array, ...], ...]
    nets: Array
    clock: str
    waited: float
    kind: str
    device: str
    machine: str
    versions: dict[str, str]


def alike(space: SearchSpace, setup: Setup) -> list[list[int]]:
    """Return a number for every candidate of every layer; equal work has equal numbers, from 0."""
    with torch.device("meta"):
        images = torch.empty(1, setup.channels, setup.resolution, setup.resolution)
        side = space.stem.build(setup.channels)(images).shape[-1]
    numbers: dict[object, int] = {}
    found = []
    for block in space.blocks:
        shape = (block.in_channels, block.out_channels, block.stride, side)
        found.append([numbers.setdefault((each, shape), len(numbers)) for each in block.candidates])
        side = -(-side // block.stride)
    return found


def measure(
    space: SearchSpace,
    architectures: Sequence[Architecture],
    setup: Setup,
    rounds: int,
    advance: Callable[[int], object] = lambda _: None,
) -> Timings:
    """Time every candidate, stem with head, and whole networks, on this machine.

    Args:
        space: The space.
        architectures: N whole networks.
        setup: Under which circumstances.
        rounds: R, how many times each is timed.
        advance: Told how many rounds are done.
    """
    with threads_of_torch(setup.threads), torch.no_grad():
        clock = _Clock(setup)
        parts = _Parts(space, setup)
        numbers = alike(space, setup)
        work = parts.work(numbers) + [parts.net(each) for each in architectures]
        seconds, walls = clock.in_turn(work, rounds, advance)
    first = 1 + max(chain.from_iterable(numbers)) + 1
    candidates = tuple(tuple(seconds[1 + number] for number in row) for row in numbers)
    kind = setup.chosen_device
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    waited = max(float(np.median(walls / seconds)) - 1, 0.0)
    return Timings(
        seconds[0],
        candidates,
        seconds[first:],
        clock.name,
        waited,
        kind,
        device_name(kind),
        platform.node(),
        versions,
    )


def latency_of(network: nn.Module, setup: Setup, rounds: int = 21, quantile: float = 0.5) -> int:
    """Return the time of a network for a batch on this machine, in nanoseconds.

    Args:
        network: Takes images of the setup.
        setup: Under which circumstances.
        rounds: How many times it is timed.
        quantile: Of these times, the one that counts.
    """
    return latencies_of([network], setup, rounds, quantile)[0]


def latencies_of(
    networks: Sequence[nn.Module],
    setup: Setup,
    rounds: int = 21,
    quantile: float = 0.5,
    within_seconds: float = math.inf,
) -> list[int]:
    """Return the times of networks for a batch on this machine, taken in turn, in nanoseconds.

    Args:
        networks: Take images of the setup.
        setup: Under which circumstances.
        rounds: How many times each is timed.
        quantile: Of these times, the one that counts.
        within_seconds: After so many there is no further round, of three at least.
    """
    with threads_of_torch(setup.threads), torch.no_grad(), torch.random.fork_rng(devices=[]):
        clock, device = _Clock(setup), torch.device(setup.chosen_device)
        shape = setup.batch, setup.channels, setup.resolution, setup.resolution
        images = torch.randn(shape, device=device)
        work = [_run(network.to(device).eval(), images) for network in networks]
        seconds, _ = clock.in_turn(work, rounds, within_seconds=within_seconds)
    return [round(float(np.quantile(each, quantile)) * 1e9) for each in seconds]


class _Parts:
    """The modules of all candidates, and an input for each."""

    def __init__(self, space: SearchSpace, setup: Setup) -> None:
        device = torch.device(setup.chosen_device)
        self._images = torch.randn(
            setup.batch, setup.channels, setup.resolution, setup.resolution, device=device
        )
        self._stem = space.stem.build(setup.channels).to(device).eval()
        self._layers = [
            [
                each.build(block.in_channels, block.out_channels, block.stride).to(device).eval()
                for each in block.candidates
            ]
            for block in space.blocks
        ]
        width = space.blocks[-1].out_channels
        self._head = space.head.build(width, setup.num_classes).to(device).eval()
        self._inputs = [self._stem(self._images)]
        for row in self._layers:
            self._inputs.append(row[0](self._inputs[-1]))

    def work(self, numbers: list[list[int]]) -> list[Callable[[], object]]:
        """Return what runs stem and head, and then each kind of candidate, once."""

        def ends() -> object:
            self._stem(self._images)
            return self._head(self._inputs[-1])

        kinds: dict[int, Callable[[], object]] = {}
        for layer, row in enumerate(numbers):
            for choice, number in enumerate(row):
                kinds.setdefault(number, _run(self._layers[layer][choice], self._inputs[layer]))
        return [ends, *(kinds[number] for number in sorted(kinds))]

    def net(self, architecture: Architecture) -> Callable[[], object]:
        """Return what runs a whole network; networks share the weights of their candidates."""
        chosen = [row[choice] for row, choice in zip(self._layers, architecture, strict=True)]
        return _run(nn.Sequential(self._stem, *chosen, self._head), self._images)


def _run(module: nn.Module, images: torch.Tensor) -> Callable[[], object]:
    return lambda: module(images)


class _Clock:
    """Times what runs on a device."""

    def __init__(self, setup: Setup) -> None:
        self._is_gpu = setup.chosen_device == "cuda"
        is_alone = not self._is_gpu and setup.threads == 1
        is_fine = time.get_clock_info("thread_time").resolution <= _LEAST_SECONDS / 1000
        self.name = "thread" if is_alone and is_fine else "wall"
        self._now = time.thread_time if self.name == "thread" else time.perf_counter

    def in_turn(
        self,
        work: Sequence[Callable[[], object]],
        rounds: int,
        advance: Callable[[int], object] = lambda _: None,
        within_seconds: float = math.inf,
    ) -> tuple[Array, Array]:
        """Return the seconds of everything (N x R), by this clock and by the one on the wall.

        Every round has an order of its own.
        """
        loops = [self.loops(run) for run in work]
        rng, started = random_numbers(0, Stream.TIMING), time.monotonic()
        seconds, walls = np.zeros((2, len(work), rounds))
        done = 0
        while done < rounds and (
            done < _LEAST_ROUNDS or time.monotonic() - started < within_seconds
        ):
            for row in rng.permutation(len(work)):
                work[row]()  # its weights and kernels are at hand again
                seconds[row, done], walls[row, done] = self.seconds(work[row], loops[row])
            done += 1
            advance(done)
        return seconds[:, :done], walls[:, :done]

    def loops(self, run: Callable[[], object]) -> int:
        """Warm something up; return how often it must run for a sample that a clock can tell."""
        for _ in range(_WARM_UPS):
            run()
        return max(1, round(_LEAST_SECONDS / max(self.seconds(run, 1)[0], 1e-9)))

    def seconds(self, run: Callable[[], object], loops: int) -> tuple[float, float]:
        """Return the seconds of one of so many runs, by this clock and by the one on the wall."""
        self._wait()
        wall, start = time.perf_counter(), self._now()
        for _ in range(loops):
            run()
        self._wait()
        end = self._now()
        return (end - start) / loops, (time.perf_counter() - wall) / loops

    def _wait(self) -> None:
        """Wait for what a GPU was told to do; a CPU has done it."""
        if self._is_gpu:
            torch.cuda.synchronize()
