"""Output of scripts that nobody reads, that has no room, and in encodings of few letters."""

import ast
import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import pytest

from raynas.terminal.cli import make_console
from raynas.terminal.output import guarded_output, outlive_output
from tests.analysis.invented import SMALL, InventedRun
from tests.builders import ROOT

FULL = "/dev/full"
NO_ROOM = "error: standard output: No space left on device\n"
GOES_ON = "standard output is lost (No space left on device); the work goes on and is told here\n"


@contextmanager
def streams(monkeypatch: pytest.MonkeyPatch, out: TextIO, err: Path) -> Iterator[None]:
    """Put others in the place of the standard streams."""
    with out, err.open("w", encoding="utf-8") as errors:
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", errors)
        yield
        monkeypatch.undo()


def left_pipe() -> TextIO:
    """Return a pipe that nobody reads any more."""
    reading, writing = os.pipe()
    os.close(reading)
    return os.fdopen(writing, "w", encoding="utf-8")


def full_disk() -> TextIO:
    """Return a file on a disk that is full."""
    return Path(FULL).open("w", encoding="utf-8")


class TestLostOutput:
    def test_a_command_ends_without_a_word_as_one_does_that_sigpipe_ends(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        told: list[int] = []

        def tell() -> None:
            with streams(monkeypatch, left_pipe(), tmp_path / "err"), guarded_output():
                print("one")  # noqa: T201 - what is tested
                told.append(1)

        with pytest.raises(SystemExit) as left:
            tell()
        assert left.value.code == 128 + signal.SIGPIPE
        assert not told
        assert not (tmp_path / "err").read_bytes()

    def test_a_command_without_room_for_its_output_says_so(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        def tell() -> None:
            with streams(monkeypatch, full_disk(), tmp_path / "err"), guarded_output():
                print("one")  # noqa: T201 - what is tested

        with pytest.raises(SystemExit) as left:
            tell()
        assert left.value.code == 1
        assert (tmp_path / "err").read_text(encoding="utf-8") == NO_ROOM

    def test_a_thread_leaves_the_end_to_the_main_one(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        told: list[str] = []

        def tell(text: str) -> None:
            print(text)  # noqa: T201 - what is tested
            told.append(text)

        def tell_twice() -> None:
            with streams(monkeypatch, left_pipe(), tmp_path / "err"), guarded_output():
                thread = threading.Thread(target=tell, args=("one",))
                thread.start()
                thread.join()
                tell("two")

        with pytest.raises(SystemExit):
            tell_twice()
        assert told == ["one"]
        assert not (tmp_path / "err").read_bytes()

    @pytest.mark.parametrize("has_buffer", [False, True])
    def test_work_that_outlives_it_tells_all_that_was_not_read_on_the_other_stream(
        self, has_buffer: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        full = full_disk()
        if not has_buffer:  # PYTHONUNBUFFERED
            raw = io.FileIO(FULL, "w")
            full = io.TextIOWrapper(raw, encoding="utf-8", write_through=True)  # type: ignore[arg-type]  # as Python does
        with streams(monkeypatch, full, tmp_path / "err"), guarded_output():
            outlive_output()
            make_console().print("one")
            print("two")  # noqa: T201 - what is tested

        assert (tmp_path / "err").read_text(encoding="utf-8") == f"{GOES_ON}one\ntwo\n"

    def test_work_goes_on_where_both_streams_are_lost(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        with streams(monkeypatch, left_pipe(), Path(FULL)), guarded_output():
            outlive_output()
            print("one")  # noqa: T201 - what is tested
            print("two", file=sys.stderr)  # noqa: T201 - what is tested
            (tmp_path / "done").touch()

        assert (tmp_path / "done").exists()


def test_streams_that_were_closed_before_python_began_take_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with guarded_output():
        print("one")  # noqa: T201 - what is tested
        print("two", file=sys.stderr)  # noqa: T201 - what is tested
        sys.stdout.flush()

    assert sys.stdout is None


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", "caf\\xe9 \\u732b \\udce9"),
        ("latin-1", "café \\u732b \\udce9"),
        ("cp1252", "café \\u732b \\udce9"),
        ("utf-8", "café 猫 \\udce9"),
    ],
)
def test_what_an_encoding_has_no_letter_for_is_escaped(
    encoding: str, shown: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    out = (tmp_path / "out").open("w", encoding=encoding)
    with streams(monkeypatch, out, tmp_path / "err"), guarded_output():
        print("café 猫 \udce9")  # noqa: T201 - what is tested

    assert (tmp_path / "out").read_text(encoding=encoding) == f"{shown}\n"


SCRIPT = """
import locale, os, sys
from raynas.terminal.cli import exit_code, run_script
def main():
    return exit_code(lambda: print(
        sys.argv[1:], sys.getfilesystemencoding(), locale.getpreferredencoding(),
        os.environ["PYTHONUTF8"], chr(233),
    ))
run_script(main)
"""


def test_a_script_begins_anew_in_utf_8_where_the_locale_is_another(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    poor = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, script, "猫", "--a"],
        env=os.environ | poor,
        capture_output=True,
        check=True,
    )

    assert done.stdout.decode("ascii") == "['\\u732b', '--a'] utf-8 utf-8 1 \\xe9\n"


@pytest.fixture(scope="module")
def invented(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a run folder."""
    return InventedRun(tmp_path_factory.mktemp("runs") / "a", 0, SMALL).finish().store.uri


def in_a_shell(words: str, where: str) -> "subprocess.CompletedProcess[str]":
    """Run a script that is quick to start, with its output somewhere."""
    line = f"set -o pipefail; (sleep 0.2; exec '{sys.executable}' analysis/summary.py {words})"
    return subprocess.run(
        ["bash", "-c", f"{line} {where}"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flag", "where", "code", "said"),
    [
        ("--json", f"> {FULL}", 1, NO_ROOM),
        ("--json", "| true", 141, ""),
        ("--help", "| true", 141, ""),
        ("--json", ">&-", 0, ""),
        ("--json", f"2> {FULL}", 0, ""),
    ],
    ids=["full", "left", "help left", "closed", "errors full"],
)
def test_a_script_ends_without_a_traceback_wherever_its_output_goes(
    flag: str, where: str, code: int, said: str, invented: str
) -> None:
    done = in_a_shell(f"{flag} '{invented}'", where)

    assert (done.returncode, done.stderr) == (code, said)


@pytest.mark.slow
def test_a_refusal_has_its_code_where_nobody_reads_why() -> None:
    done = in_a_shell("/nowhere", "2>&-")

    assert (done.returncode, done.stdout) == (2, "")


TEXT = {"read_text", "write_text", "open", "fdopen", "TextIOWrapper", "NamedTemporaryFile"}
PROCESSES = {"run", "Popen", "check_output"}


def without_encoding(source: str) -> list[int]:
    """Return the lines that open a file as text in whatever encoding the machine has."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        of = node.func
        name = of.attr if isinstance(of, ast.Attribute) else getattr(of, "id", "")
        owner = ast.unparse(of.value) if isinstance(of, ast.Attribute) else ""
        given = {word.arg: ast.unparse(word.value) for word in node.keywords}
        modes = [*map(ast.unparse, node.args), given.get("mode", "")]
        is_binary = any("b" in mode for mode in modes if mode[:1] in "'\"" and len(mode) < 6)
        no_text = is_binary or owner in {"Image", "os", "RunStore", "cls"}
        as_text = name in TEXT and not no_text
        as_text |= name in PROCESSES and bool({"text", "universal_newlines"} & set(given))
        if as_text and "encoding" not in given:
            found.append(node.lineno)
    return found


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("path.read_text()", [1]),
        ("open(name)\nopen(name, 'rb')\nopen(name, encoding='ascii')", [1]),
        ("subprocess.run(words, text=True)\nsubprocess.run(words)", [1]),
        ("Image.open(path)\nRunStore.open(uri)\nos.open(path, 0)", []),
    ],
)
def test_a_file_that_is_opened_without_encoding_is_found(source: str, lines: list[int]) -> None:
    assert without_encoding(source) == lines


def test_no_file_is_opened_in_the_encoding_of_the_machine() -> None:
    folders = ("raynas", "launch", "analysis", "search_spaces")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    found = {str(path): without_encoding(path.read_text(encoding="utf-8")) for path in files}

    assert len(files) > 150
    assert {path: lines for path, lines in found.items() if lines} == {}
