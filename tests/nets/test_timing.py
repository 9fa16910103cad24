"""Timing candidates and networks: everything, as often as asked, in the clock that fits."""

import re
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from raynas.errors import UserError
from raynas.nets.operations import MBConv
from raynas.nets.processors import device_name
from raynas.nets.timing import Setup, alike, latencies_of, measure
from raynas.spaces.architecture import Architecture
from tests.builders import build_space, shipped_space

SETUP = Setup(batch=1, channels=3, resolution=8, num_classes=3, device="cpu")


@dataclass(frozen=True)
class Slow:
    """An operation that takes its time, as the thread's clock and the one on the wall count it."""

    loops: int

    @property
    def name(self) -> str:
        return f"slow{self.loops}"

    def build(self, in_channels: int, out_channels: int, stride: int) -> nn.Module:
        class Busy(nn.Module):
            def __init__(self, loops: int) -> None:
                super().__init__()
                self.loops = loops
                self.conv = nn.Conv2d(in_channels, out_channels, 3, stride, 1)

            def forward(self, images: torch.Tensor) -> torch.Tensor:
                assert not self.training
                assert not torch.is_grad_enabled()
                for _ in range(self.loops):
                    out = self.conv(images)
                return out

        return Busy(self.loops)


def test_equal_operations_on_equal_shapes_are_alike_and_others_are_not() -> None:
    space = build_space("RNN", identity=True)
    first, second, third = alike(space, SETUP)

    assert second == third
    assert len({*first, *second}) == len(first) + len(second)


def test_at_the_space_s_stages_shapes_differ_and_so_do_candidates() -> None:
    """small_mobile: layers 1 and 2 are alike, and 4 and 5."""
    numbers = alike(shipped_space("small_mobile", identity=True), SETUP)

    assert (numbers[1], numbers[4]) == (numbers[2], numbers[5])
    assert not set(numbers[1]) & set(numbers[4])


def test_every_candidate_and_network_is_timed_in_every_round() -> None:
    space = build_space("RNN", identity=True)
    networks = [Architecture((0, 0, 3)), Architecture((2, 1, 0))]
    told: list[int] = []
    times = measure(space, networks, SETUP, 3, told.append)

    assert told == [1, 2, 3]
    assert times.nets.shape == (2, 3)
    assert times.fixed.shape == (3,)
    assert [len(row) for row in times.candidates] == [3, 4, 4]
    assert all((each > 0).all() for row in times.candidates for each in row)
    assert times.candidates[1][0] is not None
    assert np.array_equal(times.candidates[1][0], times.candidates[2][0])
    assert (times.kind, times.clock) == ("cpu", "thread")
    assert times.device == device_name("cpu")
    assert times.versions["torch"] == torch.__version__


def test_what_works_longer_takes_longer_and_adds_up_in_networks() -> None:
    space = build_space("RN", (Slow(10), Slow(100)), resolution=16)
    times = measure(space, [Architecture((0, 0)), Architecture((1, 1))], SETUP, 5)
    quick, slow = (float(each.min()) for each in times.candidates[1])
    least, most = times.nets.min(axis=1)

    assert 4 < slow / quick < 25
    assert most > 0.5 * slow * 2
    assert most > 3 * least


def test_several_threads_are_timed_by_the_wall_and_the_number_is_put_back() -> None:
    before = torch.get_num_threads()
    setup = Setup(1, 3, 8, 3, threads=2, device="cpu")
    times = measure(build_space("R", (MBConv(3, 1),)), [], setup, 1)

    assert times.clock == "wall"
    assert times.nets.shape == (0, 1)
    assert torch.get_num_threads() == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_torch_does_not_find_is_refused() -> None:
    assert Setup(1, 3, 8, 3).chosen_device == "cpu"
    with pytest.raises(UserError, match="--device cuda: torch finds no GPU"):
        measure(build_space(), [], Setup(1, 3, 8, 3, device="cuda"), 1)


def test_networks_take_turns_and_a_slow_one_is_told_from_a_fast_one() -> None:
    calls: list[str] = []

    def network(name: str, loops: int) -> nn.Module:
        busy = Slow(loops).build(3, 8, 1)
        busy.register_forward_pre_hook(lambda *_: calls.append(name))
        return busy

    networks = [network("fast", 1), network("slow", 200)]
    state = torch.get_rng_state()
    fast, slow = latencies_of(networks, SETUP, within_seconds=0)

    assert 0 < fast < slow / 20
    runs = "".join(name[0] for name in calls[calls.index("slow") :])
    assert len(re.findall("s+", runs)) >= 2  # the fast one runs between the rounds of the slow one
    assert calls.count("slow") < 21
    assert torch.equal(torch.get_rng_state(), state)
