"""How scripts end: exit codes, and what SIGTERM does to a process that works."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from functools import reduce
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raynas.errors import StageError, UserError
from raynas.settings.deciding import flat
from raynas.settings.methods import load_method
from raynas.settings.settings import Settings
from raynas.terminal.cli import exit_code, values_of, with_flags, words_for
from tests.builders import ROOT
from tests.launch.scripts import ended, running

WORK = """
import sys, time
from raynas.terminal.cli import exit_code
def work():
    try:
        print("at work", flush=True)
        time.sleep(60)
    finally:
        time.sleep(0.2)
        print("saved", flush=True)
sys.exit(exit_code(work))
"""


@pytest.fixture(autouse=True)
def own_sigterm() -> Iterator[None]:
    """Put back what SIGTERM did before."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


class TestExitCodes:
    def test_work_that_is_done_ends_with_0_and_says_nothing(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        done: list[int] = []

        assert exit_code(lambda: done.append(1)) == 0
        assert done == [1]
        assert capsys.readouterr().err == ""

    @pytest.mark.parametrize(
        ("error", "code", "line"),
        [
            (StageError("the loss is nan"), 1, "error: the loss is nan"),
            (UserError("--seed: got -1"), 2, "error: --seed: got -1"),
            (KeyboardInterrupt(), 130, "interrupted; run the same command again to continue"),
            (SystemExit(15), 143, "stopped by SIGTERM; run the same command again to continue"),
        ],
    )
    def test_a_stop_has_its_code_and_one_line_without_a_traceback(
        self, error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def work() -> None:
            raise error

        assert exit_code(work) == code
        assert capsys.readouterr().err == f"{line}\n"

    def test_a_refusal_of_the_command_line_goes_on(self) -> None:
        def work() -> None:
            raise SystemExit(2)

        with pytest.raises(SystemExit) as left:
            exit_code(work)
        assert left.value.code == 2

    def test_a_bug_is_not_hidden(self) -> None:
        def work() -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            exit_code(work)


class TestSigterm:
    @pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
    def test_a_process_that_is_stopped_cleans_up_and_says_how_to_continue(
        self, number: signal.Signals, code: int
    ) -> None:
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(
            [sys.executable, "-c", WORK],
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        with running(process):
            assert process.stdout
            assert process.stdout.readline() == "at work\n"
            started = time.monotonic()
            process.send_signal(number)
            end = ended(process)

        assert time.monotonic() - started < 10
        assert end.code == code
        assert end.output == "saved\n"
        (line,) = end.errors.splitlines()
        assert line.endswith("; run the same command again to continue")
        assert ("SIGTERM" in line) == (number == signal.SIGTERM)

    def test_it_is_told_from_ctrl_c_even_where_the_exception_was_replaced(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Ray raises a KeyboardInterrupt of its own in place of any that a handler raises."""

        def work() -> None:
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(60)
            except KeyboardInterrupt:
                raise KeyboardInterrupt from None

        assert exit_code(work) == 143
        assert capsys.readouterr().err.startswith("stopped by SIGTERM; ")


@pytest.mark.parametrize("words", [["--resolution", "96"], ["--resolution=96"]])
def test_a_short_flag_stands_for_a_setting_of_a_stage(words: list[str]) -> None:
    settings = with_flags(Settings(), [*words, "--search", "exact"], None)

    assert settings.images.resolution == 96
    assert settings.search.strategy == "exact"


@pytest.mark.parametrize(
    ("argv", "values"),
    [
        (["--run", "a", "--run=b"], ["a", "b"]),
        (["--runs", "a", "--run"], []),
        (["--run", "--run=c"], ["--run=c", "c"]),
    ],
)
def test_the_values_of_a_flag_are_found_in_both_of_its_forms(
    argv: list[str], values: list[str]
) -> None:
    assert values_of("--run", argv) == values


def test_short_flags_stand_for_the_long_ones_in_both_forms() -> None:
    words = ["--search", "exact", "--objectives=score,macs", "--search.min-distance", "1"]
    search = with_flags(Settings(), words, None).search

    assert (search.strategy, search.objectives) == ("exact", "score,macs")


def test_a_limit_of_latency_is_given_with_its_unit() -> None:
    settings = with_flags(Settings(), ["--max-latency", "12ms", "--latency-table", "t"], None)

    assert settings.max_latency == 12_000_000


NAMES = [name for name in flat(dataclasses.asdict(Settings())) if name != "method"]
DEFAULTS = [
    load_method(path.stem, ROOT / "launch" / "settings")
    for path in sorted((ROOT / "launch" / "settings").glob("*.toml"))
]


def value_of(settings: Any, name: str) -> Any:
    return reduce(getattr, name.replace("-", "_").split("."), settings)


def changed(settings: Any, name: str, value: Any) -> Any:
    """Return settings with another value; the same ones where it is refused."""
    first, _, rest = name.replace("-", "_").partition(".")
    try:
        inner = changed(getattr(settings, first), rest, value) if rest else value
        return dataclasses.replace(settings, **{first: inner})
    except UserError:
        return settings


def kinds_of(name: str) -> Sequence[Any]:
    """Return the types that a setting may have, without what is said of them to tyro."""
    *parts, last = name.replace("-", "_").split(".")
    hint = get_type_hints(reduce(lambda kind, part: get_type_hints(kind)[part], parts, Settings))
    kind = hint[last]
    if get_origin(kind) is tuple:
        return (tuple,)
    return (kind,) if get_origin(kind) is Literal or isinstance(kind, type) else get_args(kind)


def values_for(name: str) -> st.SearchStrategy[Any]:
    """Return values of a setting, also some that are refused."""
    known: dict[Any, st.SearchStrategy[Any]] = {
        NoneType: st.none(),
        bool: st.booleans(),
        int: st.integers(-1, 5) | st.integers(6, 2**62),
        float: st.floats(-1, 1) | st.floats(0, 1e9),
        tuple: st.lists(st.sampled_from(["0-1", "-1 0", "normal: sep3(0)"])).map(tuple),
        str: st.sampled_from(["score,macs", "it's", "-1", "--method", "a=b", ""])
        | st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0")),
    }
    return st.one_of(
        *(
            st.sampled_from(get_args(kind)) if get_origin(kind) is Literal else known[kind]
            for kind in kinds_of(name)
        )
    )


def read_back(settings: Settings, default: Settings) -> Settings:
    """Return what the words for all that differs from a default are read as."""
    names = [name for name in NAMES if value_of(settings, name) != value_of(default, name)]
    words = [word for name in names for word in words_for(Settings, name, value_of(settings, name))]
    return with_flags(default, words, None)


@given(
    st.sampled_from(DEFAULTS),
    st.fixed_dictionaries({}, optional={name: values_for(name) for name in NAMES}),
)
def test_any_settings_are_read_back_from_the_words_that_say_them(
    default: Settings, values: dict[str, Any]
) -> None:
    settings = reduce(lambda found, each: changed(found, *each), values.items(), default)

    assert read_back(settings, default) == settings


OTHERS = (
    None,
    True,
    False,
    1,
    2,
    3,
    4,
    5,
    12,
    0.001,
    0.5,
    1.5,
    -0.5,
    "90min",
    "score,macs",
    -1,
    ("0-1", "1-0"),
)


def test_every_setting_is_read_back_when_it_is_not_its_default() -> None:
    left = set(NAMES)
    for default in DEFAULTS:
        settings = default
        for name in 2 * sorted(left):  # some are refused until others are changed
            chosen = [value for kind in kinds_of(name) for value in get_args(kind)]
            for value in chosen or [each for each in OTHERS if type(each) in kinds_of(name)]:
                if value != value_of(default, name):
                    settings = changed(settings, name, value)
        assert read_back(settings, default) == settings
        left -= {name for name in left if value_of(settings, name) != value_of(default, name)}

    assert not left
