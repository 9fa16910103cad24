"""Signals that wait: nothing is done by halves, and no signal is lost."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from raynas.terminal.deferred_signals import Shield


class Interrupted(BaseException):
    """What the handler of these tests raises."""


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Let both signals raise, and put back what they did before."""
    numbers = (signal.SIGINT, signal.SIGTERM)

    def interrupt(number: int, frame: object) -> None:
        del frame
        raise Interrupted(number)

    before = [signal.signal(number, interrupt) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def send(number: signal.Signals) -> None:
    """Send this process a signal, and give its handler time to run."""
    os.kill(os.getpid(), number)
    time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
class TestShield:
    def test_a_signal_waits_until_the_end(self, number: signal.Signals) -> None:
        done: list[str] = []

        def work() -> None:
            with Shield():
                send(number)
                done.append("whole")

        with pytest.raises(Interrupted) as caught:
            work()
        assert done == ["whole"]
        assert caught.value.args == (number,)

    def test_a_signal_that_waits_is_let_in_before_open_work_begins(
        self, number: signal.Signals
    ) -> None:
        done: list[str] = []

        def work() -> None:
            with Shield() as shield:
                send(number)
                done.append("whole")
                shield.opened(lambda: done.append("begun"))()

        with pytest.raises(Interrupted):
            work()
        assert done == ["whole"]

    def test_open_work_is_interrupted_at_once(self, number: signal.Signals) -> None:
        threading.Timer(0.2, send, [number]).start()
        started = time.monotonic()
        with pytest.raises(Interrupted), Shield() as shield:
            shield.opened(time.sleep)(30)

        assert time.monotonic() - started < 5

    def test_it_is_closed_again_after_open_work(self, number: signal.Signals) -> None:
        done: list[str] = []

        def work() -> None:
            with Shield() as shield:
                assert shield.opened(lambda count: count + 1)(1) == 2
                send(number)
                done.append("whole")

        with pytest.raises(Interrupted):
            work()
        assert done == ["whole"]

    def test_afterwards_a_signal_does_what_it_did_before(self, number: signal.Signals) -> None:
        before = signal.getsignal(number)
        with Shield():
            assert signal.getsignal(number) != before

        assert signal.getsignal(number) == before

    def test_an_error_inside_goes_on_where_no_signal_came(self, number: signal.Signals) -> None:
        del number
        with pytest.raises(ZeroDivisionError), Shield() as shield:
            shield.opened(lambda: 1 // 0)()


class TestProgramsOfTheirOwn:
    """A Python program has set no handler for SIGTERM, or ignores it, or works in a thread."""

    def test_a_signal_that_would_end_the_process_lets_open_work_save_first(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        threading.Timer(0.2, send, [signal.SIGTERM]).start()
        with pytest.raises(SystemExit) as caught, Shield() as shield:
            shield.opened(time.sleep)(30)

        assert caught.value.code == 143
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL

    def test_a_signal_that_would_end_the_process_waits_for_whole_work(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        done: list[str] = []

        def work() -> None:
            with Shield():
                send(signal.SIGTERM)
                done.append("whole")

        with pytest.raises(SystemExit):
            work()
        assert done == ["whole"]

    def test_a_signal_that_is_ignored_stays_so(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # as under nohup
        with Shield() as shield:
            shield.opened(lambda: send(signal.SIGINT))()
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN

    def test_in_a_thread_signals_are_left_to_the_main_one(self) -> None:
        before = signal.getsignal(signal.SIGTERM)
        found: list[object] = []

        def work() -> None:
            with Shield() as shield:
                found.append(shield.opened(lambda: signal.getsignal(signal.SIGTERM))())

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert found == [before]
