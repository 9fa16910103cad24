"""Batches made ahead: the same ones to the bit, made once, and nothing left behind."""

import inspect
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from raynas.data import decode_workers
from raynas.data.batch_requests import Request, made
from raynas.data.batches import Batches
from raynas.data.dataset import Dataset, EncodedImages, Images
from raynas.data.decode_workers import DecodingProcesses
from raynas.data.decoding import Square
from raynas.data.encoded_images import RawImage
from raynas.data.prefetch import Batch, Loader
from raynas.seeds import Stream
from raynas.storage.retry import StorageError
from tests.builders import ROOT, run_python
from tests.data.samples import build_dataset, build_images

REQUESTS = [(0, 0), (0, 1), (0, 0), (1, 0), (2, 1), (7, 0), (3, 1), (2, 0)]
"""Steps and shards as paths ask for them: again, ahead, elsewhere and back."""


def streamed(workers: int, dataset: Dataset | None = None) -> Dataset:
    """Return a data set of colour images whose training part stays encoded."""
    dataset = dataset or build_dataset(side=16)
    pixels, labels = dataset.train.pixels, dataset.train.labels
    raws = [
        RawImage(str(row), int(label), None, partial(Image.fromarray, image.transpose(1, 2, 0)))
        for row, (image, label) in enumerate(zip(pixels, labels, strict=True))
    ]
    return replace(dataset, train=EncodedImages(raws, labels, Square(16, 3), workers))


def eventually(holds: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Return whether something comes true in time."""
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    return holds()


class Slow(Batches):
    """Batches that take their time, and tell what they were asked for."""

    def __init__(self, seconds: float = 0.0, broken: int | None = None) -> None:
        super().__init__(build_dataset(side=16), 10, 3, Stream.PRETRAINING, 2)
        self.chosen: list[tuple[int, int]] = []
        self.seconds = seconds
        self.broken = broken

    def choose(self, step: int, shard: int) -> npt.NDArray[np.int64]:
        """Note what was asked for, and fail at one step."""
        self.chosen.append((step, shard))
        if step == self.broken:
            raise OSError("broken")
        return super().choose(step, shard)

    def finish(self, images: Images, step: int, shard: int) -> Batch:
        """Take some time."""
        time.sleep(self.seconds)
        return super().finish(images, step, shard)


@pytest.fixture
def requests() -> list[Request]:
    """Return requests of seven images each, of which some open nothing."""
    train = streamed(0).train
    assert isinstance(train, EncodedImages)
    made_of = [train.request(np.arange(start, start + 7)) for start in range(0, 42, 7)]
    return [made_of[0].at(2, int), *made_of[1:]]


class TestBatchesAhead:
    def test_batches_in_memory_are_the_same_whatever_was_asked_for_before(self) -> None:
        batches = Batches(build_dataset(side=16), 10, 3, Stream.PRETRAINING, 2)
        loader = Loader(batches)
        for request in REQUESTS:
            pairs = zip(loader(*request), batches(*request), strict=True)
            assert all(torch.equal(made, wanted) for made, wanted in pairs)

    @pytest.mark.parametrize("workers", [0, 2])
    def test_streamed_batches_are_those_in_memory(self, workers: int) -> None:
        dataset = build_dataset(side=16)
        batches = Batches(dataset, 33, 3, Stream.PRETRAINING, 2)
        loader = Loader(Batches(streamed(workers, dataset), 33, 3, Stream.PRETRAINING, 2))
        for request in REQUESTS:
            pairs = zip(loader(*request), batches(*request), strict=True)
            assert all(torch.equal(made, wanted) for made, wanted in pairs)
        loader.close()

    def test_the_same_shard_of_the_next_step_is_made_before_it_is_asked_for(self) -> None:
        batches = Slow()
        loader = Loader(batches)
        loader(4, 1)

        assert eventually(lambda: len(batches.chosen) == 2)
        assert batches.chosen == [(4, 1), (5, 1)]

    def test_the_paths_of_a_step_share_a_batch_that_is_made_once(self) -> None:
        batches = Slow()
        loader = Loader(batches)
        for step in range(3):
            for _ in range(4):
                for shard in (0, 1):
                    loader(step, shard)
        loader.close()

        assert len(batches.chosen) == len(set(batches.chosen))

    def test_batches_of_other_steps_are_let_go(self) -> None:
        loader = Loader(Slow())
        for step in (0, 1, 2, 9, 4):
            loader(step)

        assert set(loader._made) == {(4, 0), (5, 0)}

    def test_a_batch_that_failed_is_told_to_who_asks_and_may_be_asked_for_again(self) -> None:
        batches = Slow(broken=1)
        loader = Loader(batches)
        loader(0)
        with pytest.raises(OSError, match="broken"):
            loader(1)
        batches.broken = None

        assert torch.equal(loader(1)[0], Slow()(1)[0])

    @pytest.mark.parametrize("batch", [1, 4, 7, 100])
    def test_in_order_yields_every_image_once_in_its_order(self, batch: int) -> None:
        images = build_images(14, 4, 1, 3, seed=0)
        pieces = list(Loader(Slow()).in_order(images, batch))

        assert max(map(len, pieces)) <= batch
        assert np.array_equal(np.concatenate([piece.pixels for piece in pieces]), images.pixels)
        assert np.array_equal(np.concatenate([piece.labels for piece in pieces]), images.labels)

    def test_no_images_in_order_are_none(self) -> None:
        assert list(Loader(Slow()).in_order(build_images(0, 4, 1, 3, seed=0), 5)) == []


class TestWaiting:
    def test_the_first_batch_is_waited_for_and_counted(self) -> None:
        loader = Loader(Slow(0.2))
        loader(0)

        assert 0.05 <= loader.waited < 2  # the making may begin a little before the waiting

    def test_a_batch_that_was_made_in_time_costs_no_waiting(self) -> None:
        loader = Loader(Slow(0.1))
        loader(0)
        assert eventually(lambda: all(made.done() for made in loader._made.values()))
        before = loader.waited
        loader(1)

        assert loader.waited - before < 0.05


class TestProcesses:
    @pytest.mark.parametrize("count", [1, 2, 5])
    def test_they_do_what_one_process_does_and_know_what_is_broken(
        self, count: int, requests: list[Request]
    ) -> None:
        processes = DecodingProcesses(count)
        tickets = [processes.submit(request) for request in requests]
        for ticket, request in zip(tickets, requests, strict=True):
            pixels, readable = processes.answer(ticket)
            wanted, good = made(request)
            assert torch.equal(pixels, wanted)
            assert readable.tolist() == good.tolist()
        processes.close()

    def test_what_was_forgotten_comes_to_nobody(self, requests: list[Request]) -> None:
        processes = DecodingProcesses(2)
        tickets = [processes.submit(request) for request in requests]
        processes.answer(tickets[1])
        for ticket in tickets[:1] + tickets[2:]:
            processes.forget(ticket)
        again = processes.submit(requests[4])

        assert torch.equal(processes.answer(again).pixels, made(requests[4])[0])
        assert processes._answers == {}
        assert processes._queue.under_way == processes._queue.waiting == {}
        processes.close()

    def test_a_process_that_dies_costs_nothing_but_time(self, requests: list[Request]) -> None:
        before = set(multiprocessing.active_children())
        processes = DecodingProcesses(2)
        first = [processes.submit(request) for request in requests]
        processes.answer(first[0])
        mine = set(multiprocessing.active_children()) - before
        for child in mine:
            assert child.pid is not None
            os.kill(child.pid, signal.SIGKILL)
        for ticket, request in zip(first[1:], requests[1:], strict=True):
            assert torch.equal(processes.answer(ticket).pixels, made(request)[0])
        new = set(multiprocessing.active_children()) - before

        assert len(new) == len(mine) == 2
        assert not new & mine
        processes.close()

    def test_what_kills_every_process_is_done_here(
        self, requests: list[Request], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(decode_workers, "_DEATHS", 1)
        processes = DecodingProcesses(1)
        deadly = requests[0].at(0, Deadly(os.getpid()))
        pixels, readable = processes.answer(processes.submit(deadly))

        assert readable.tolist() == [True, True, False, True, True, True, True]
        assert torch.equal(pixels, made(deadly)[0])
        again = processes.submit(requests[1])  # without trying once more
        assert torch.equal(processes.answer(again).pixels, made(requests[1])[0])
        assert processes._started is None

    def test_they_start_where_the_main_module_cannot_be_imported_again(self) -> None:
        """A script without a guard would begin anew; one from standard input is no file."""
        program = "print('began', flush=True)\n" + PROGRAM
        done = subprocess.run(
            [sys.executable, "-"],
            input=program,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )

        assert done.stderr == ""
        assert done.stdout.count("began") == 1
        assert len(done.stdout.split()) == 3

    def test_little_shared_memory_is_done_without(
        self, requests: list[Request], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A container mostly has 64 MB of it; here the processes are told of none."""
        monkeypatch.setattr(decode_workers, "_has_room", lambda _: False)
        carrier = decode_workers._Carrier(may_share=True)
        ticket, (pixels, readable) = carrier[3, requests[1]]

        assert ticket == 3
        assert isinstance(pixels, np.ndarray)
        assert readable.all()

    def test_a_storage_that_fails_is_told_as_it_is(self, requests: list[Request]) -> None:
        processes = DecodingProcesses(1)
        ticket = processes.submit(requests[0].at(3, Unreachable()))
        with pytest.raises(StorageError, match=r"^the storage is gone$"):
            processes.answer(ticket)
        processes.close()

    def test_they_draw_nothing_from_the_generator_of_the_training(
        self, requests: list[Request]
    ) -> None:
        torch.manual_seed(3)
        wanted = torch.rand(1)
        torch.manual_seed(3)
        processes = DecodingProcesses(1)
        processes.answer(processes.submit(requests[0]))
        processes.close()

        assert torch.equal(torch.rand(1), wanted)


class Deadly:
    """Opens an image in one process, and kills any other."""

    def __init__(self, here: int) -> None:
        self.here = here

    def __call__(self) -> Image.Image:
        """Return an image."""
        if os.getpid() != self.here:
            os._exit(1)
        return Image.new("RGB", (16, 16))


class Unreachable:
    """Opens nothing, for the storage fails."""

    def __call__(self) -> Image.Image:
        """Fail."""
        raise StorageError("the storage is gone")


PROGRAM = inspect.cleandoc(
    """
    import multiprocessing, numpy, time
    from raynas.data.decode_workers import DecodingProcesses
    from tests.data.test_prefetch import streamed
    processes = DecodingProcesses(2)
    processes.answer(processes.submit(streamed(0).train.request(numpy.arange(4))))
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    """
)


def is_alive(pid: int) -> bool:
    """Return whether a process runs; one that waits to be buried does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # gone before, or while it was read
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


class TestEnding:
    def test_a_program_that_ends_takes_thread_and_processes_along(self) -> None:
        program = inspect.cleandoc(
            """
            from raynas.seeds import Stream
            from raynas.data.batches import Batches
            from raynas.data.prefetch import Loader
            from tests.data.test_prefetch import streamed
            loader = Loader(Batches(streamed(2), 32, 0, Stream.PRETRAINING))
            loader(0)
            """
        )
        pids = [int(pid) for pid in run_python(f"{program}\n{PROGRAM}").split()]

        assert len(pids) == 4
        assert eventually(lambda: not any(map(is_alive, pids)))

    def test_a_program_that_is_killed_takes_its_processes_along(self, tmp_path: Path) -> None:
        """A batch job, whose TMPDIR is too long for the sockets of its processes."""
        tmpdir = tmp_path / ("somebody_with_a_long_name" * 4)
        tmpdir.mkdir()
        environment = os.environ | {"TMPDIR": str(tmpdir)}
        command = [sys.executable, "-c", f"{PROGRAM}\ntime.sleep(60)"]
        with subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
        ) as program:
            assert program.stdout is not None
            pids = [int(pid) for pid in program.stdout.readline().split()]
            assert all(map(is_alive, pids))
            program.kill()

        assert len(pids) == 2
        assert eventually(lambda: not any(map(is_alive, pids)))

    def test_a_loader_that_nobody_uses_any_more_ends_its_processes(self) -> None:
        before = set(multiprocessing.active_children())
        loader = Loader(Batches(streamed(2), 32, 0, Stream.PRETRAINING))
        loader(0)
        mine = set(multiprocessing.active_children()) - before
        del loader

        assert len(mine) == 2
        assert eventually(lambda: not any(child.is_alive() for child in mine))


def test_a_lost_image_is_replaced_where_processes_decode_too() -> None:
    dataset = streamed(2)
    train = dataset.train
    assert isinstance(train, EncodedImages)
    raws = [replace(raw, open=int) if place == 5 else raw for place, raw in enumerate(train.raws)]
    batches = Batches(replace(dataset, train=replace(train, raws=raws)), 48, 0, Stream.PRETRAINING)
    loader = Loader(batches)

    assert torch.equal(loader(0)[0], batches(0)[0])
    loader.close()
