"""What is said arrives: messages, and the sockets that carry them; Ray is not needed."""

import json
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from raynas.cluster.workers.messages import Answer, Request
from raynas.cluster.workers.ray_transport import parts
from raynas.cluster.workers.socket_transport import (
    Listener,
    SocketLine,
    UnreachableError,
    serve,
    wait_for_sockets,
)
from raynas.cluster.workers.timeouts import Pace
from raynas.cluster.workers.transport import LostLineError
from raynas.spaces.architecture import Architecture
from raynas.training.exact_sums import ExactSum
from raynas.training.gradients import Computed, Gradient, Piece

VECTORS = arrays(np.float32, st.integers(0, 50), elements=st.floats(width=32))
LOSSES = st.floats(allow_nan=True)
GRADIENTS = st.builds(Gradient, VECTORS, LOSSES)
UNITS = arrays(np.int64, st.integers(0, 50), elements=st.integers(-(2**63), 2**63 - 1))
SUMS = st.builds(ExactSum, UNITS, st.booleans())
PIECES = st.builds(
    Piece,
    st.lists(st.integers(0, 9), min_size=1, max_size=5).map(Architecture),
    st.integers(0, 7),
)


class TestMessages:
    @given(VECTORS, st.integers(0, 10**9), st.lists(PIECES, max_size=4))
    def test_a_request_arrives_with_every_bit(
        self, vector: np.ndarray, step: int, pieces: list[Piece]
    ) -> None:
        got = Request.from_bytes(b"".join(Request(vector, step, pieces).to_parts()))

        assert got.vector.tobytes() == vector.tobytes()
        assert (got.step, got.pieces) == (step, pieces)
        assert all(type(piece.path) is Architecture for piece in got.pieces)

    @given(st.lists(GRADIENTS, min_size=1, max_size=4), SUMS)
    def test_an_answer_arrives_with_every_bit_even_of_losses_that_are_not_numbers(
        self, gradients: list[Gradient], classifier: ExactSum
    ) -> None:
        sent = Answer(3, Computed(gradients, classifier), 0.5, 0.25)
        got = Answer.from_bytes(sent.to_bytes())

        assert (got.step, got.seconds, got.waited) == (3, 0.5, 0.25)
        for one, other in zip(got.computed.gradients, gradients, strict=True):
            assert one.values.tobytes() == other.values.tobytes()
            assert (
                struct.pack("d", one.loss) == struct.pack("d", other.loss) or one.loss != one.loss
            )
        assert np.array_equal(got.computed.classifier.units, classifier.units)
        assert got.computed.classifier.is_finite == classifier.is_finite

    @given(st.lists(GRADIENTS, min_size=1, max_size=4), SUMS, st.integers(-64, 64))
    @example([Gradient(np.ones(3, np.float32), 1.0)], ExactSum(np.ones(2, np.int64)), 4)
    @example([Gradient(np.ones(3, np.float32), 1.0)], ExactSum(np.ones(2, np.int64)), -4)
    def test_an_answer_of_another_length_than_it_says_is_refused(
        self, gradients: list[Gradient], classifier: ExactSum, more: int
    ) -> None:
        content = Answer(3, Computed(gradients, classifier), 0.5, 0.25).to_bytes()
        start = content.index(b"\n") + 1
        other = content + bytes(more) if more > 0 else content[: max(len(content) + more, start)]
        if len(other) == len(content):
            return

        with pytest.raises(ValueError):  # noqa: PT011 - numpy's own sentence, or ours
            Answer.from_bytes(other)

    def test_a_message_begins_with_a_line_of_json_and_nothing_that_could_be_executed(self) -> None:
        request = Request(np.ones(2, np.float32), 1, [Piece(Architecture([0]), 0)])
        line, rest = b"".join(request.to_parts()).split(b"\n", 1)

        assert json.loads(line) == {"step": 1, "pieces": [[[0], 0]]}
        assert rest == np.ones(2, "<f4").tobytes()

    def test_an_answer_holds_the_classifier_once_whatever_the_number_of_its_pieces(self) -> None:
        own, classifier = Gradient(np.ones(3, np.float32), 1.0), ExactSum(np.ones(1000, np.int64))
        sizes = [
            len(Answer(3, Computed([own] * count, classifier), 0.5, 0.25).to_bytes())
            for count in (1, 9)
        ]

        assert 8 * 1000 < sizes[0] < sizes[1] < 8 * 1000 + 500

    @given(st.binary(max_size=100), st.integers(1, 7))
    def test_parts_of_a_message_join_to_the_message(self, content: bytes, count: int) -> None:
        cut = parts(content, count)

        assert len(cut) == count
        assert b"".join(cut) == content


@pytest.fixture
def listener() -> Iterator[Listener]:
    """Return a listener on this machine."""
    listener = Listener("127.0.0.1")
    yield listener
    listener.close()


def arrive(listener: Listener, number: int, seconds: float = 5) -> SocketLine | None:
    """Wait until a worker has said hello."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        line = listener.take(number)
        if line is not None:
            return line
        time.sleep(0.01)
    return None


def start_worker(listener: Listener, secret: bytes | None = None) -> threading.Thread:
    """Serve in a thread; the answer is the message backwards."""
    thread = threading.Thread(
        target=serve,
        args=[listener.address, secret or listener.secret, 7, lambda content: content[::-1]],
        daemon=True,
    )
    thread.start()
    return thread


def receive(line: SocketLine) -> bytes:
    """Wait for an answer."""
    while True:
        wait_for_sockets([line], 5)
        content = line.receive()
        if content is not None:
            return bytes(content)


class TestSockets:
    @pytest.mark.parametrize("length", [0, 1, 3_000_000])
    def test_messages_of_any_length_come_back_whole_and_in_order(
        self, listener: Listener, length: int
    ) -> None:
        start_worker(listener)
        line = arrive(listener, 7)
        assert line is not None
        content = np.random.default_rng(length).bytes(length)
        for _ in range(2):
            line.send([content, b"", memoryview(b"end")])
            assert receive(line) == (content + b"end")[::-1]
        assert line.pid == os.getpid()
        line.close()

    def test_the_worker_stops_serving_when_the_driver_hangs_up(self, listener: Listener) -> None:
        thread = start_worker(listener)
        line = arrive(listener, 7)
        assert line is not None
        line.close()
        thread.join(5)
        assert not thread.is_alive()

    def test_a_worker_that_is_gone_is_noticed_when_the_line_is_read(
        self, listener: Listener
    ) -> None:
        hello = struct.pack("!32sII", listener.secret, 1, 2)
        with socket.create_connection(listener.address) as connection:
            connection.sendall(hello)
            line = arrive(listener, 1)
            assert line is not None
            connection.sendall(struct.pack("!Q", 10) + b"half")
            wait_for_sockets([line], 5)
            assert line.receive() is None
        wait_for_sockets([line], 5)
        with pytest.raises(LostLineError):
            line.receive()

    def test_a_worker_that_takes_nothing_keeps_the_driver_waiting_neither(
        self, listener: Listener
    ) -> None:
        hello = struct.pack("!32sII", listener.secret, 1, 2)
        with socket.create_connection(listener.address) as connection:
            connection.sendall(hello)
            line = arrive(listener, 1)
            assert line is not None
            started = time.monotonic()
            line.send([bytes(50_000_000)])
            assert line.receive() is None
            assert line.unsent
            assert time.monotonic() - started < 1

    def test_who_does_not_know_the_secret_is_not_listened_to(self, listener: Listener) -> None:
        thread = start_worker(listener, secret=b"0" * 32)
        thread.join(5)
        assert not thread.is_alive()
        assert arrive(listener, 7, seconds=0.1) is None

    def test_a_silent_visitor_keeps_no_worker_waiting(self, listener: Listener) -> None:
        with socket.create_connection(listener.address):
            start_worker(listener)
            line = arrive(listener, 7)
            assert line is not None
            line.close()

    def test_an_address_where_nobody_listens_is_said_to_be_unreachable(
        self, listener: Listener
    ) -> None:
        listener.close()
        with pytest.raises(UnreachableError):
            serve(listener.address, b"", 0, bytes)


class TestPace:
    def test_before_anything_is_known_there_is_time(self) -> None:
        assert Pace().late_after(1) >= 60

    @given(st.floats(0.5, 50), st.integers(1, 9), st.integers(1, 9))
    def test_late_is_four_times_the_usual_and_hung_much_later(
        self, seconds: float, pieces: int, asked: int
    ) -> None:
        pace = Pace()
        for _ in range(9):
            pace.add(seconds * pieces, pieces)
        pace.add(1e6, 1)  # one outlier changes nothing

        assert pace.late_after(asked) == pytest.approx(4 * seconds * asked)
        assert pace.hung_after(asked) > 2 * pace.late_after(asked)

    def test_steps_of_milliseconds_are_not_late_after_a_hiccup(self) -> None:
        pace = Pace()
        pace.add(0.001, 1)
        assert pace.late_after(1) == 1.0
