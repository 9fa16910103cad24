"""What all scripts share: flags over a method's settings, UTF-8, signals, exit codes.

Exit codes: 0 done, 1 a stage failed or output has no room, 2 a mistake in the request, 130
interrupted by hand, 141 nobody reads the output any more (``| head``), 143 stopped by SIGTERM
(``ray job stop``, a batch system, a machine that shuts down).
"""

import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, NoReturn, TypeVar, get_args, get_type_hints

import tyro
from rich.console import Console

from raynas.errors import StageError, UserError
from raynas.storage.uris import refuse_foreign_letters
from raynas.terminal.output import fill_descriptors, guarded_output

_SHORT = {
    "--search": "--search.strategy",
    "--objectives": "--search.objectives",
    "--resolution": "--images.resolution",
}
_Flags = TypeVar("_Flags")


def run_script(main: Callable[[], int]) -> NoReturn:
    """Leave with the exit code of a script's ``main``, which runs in Python's UTF-8 mode."""
    fill_descriptors()
    _begin_in_utf8()
    sys.exit(main())


def _begin_in_utf8() -> None:
    """Begin anew in UTF-8 mode where the locale is another, as Python does by itself from 3.15 on.

    Names of files are UTF-8 to Arrow and to Ray whatever the locale is, so they must be to Python,
    in workers and trials, too, which inherit the mode. A terminal keeps its own encoding.
    """
    if sys.flags.utf8_mode or sys.getfilesystemencoding() == "utf-8":
        return
    if os.environ.get("PYTHONUTF8") == "1":  # it is not heeded: python -E
        return
    os.environ["PYTHONUTF8"] = "1"
    if sys.stdout is not None:
        os.environ["PYTHONIOENCODING"] = f"{sys.stdout.encoding}:backslashreplace"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - this very command


def exit_code(
    work: Callable[[], int | None], refused: tuple[type[Exception], ...] = (UserError,)
) -> int:
    """Do a script's work; return its exit code, and say in a sentence why it stopped.

    Args:
        work: Reads the command line and does what it says; may return a code of its own.
        refused: Exceptions whose text is all that a person needs to know.
    """
    with guarded_output():
        return _exit_code(work, refused)


def _exit_code(work: Callable[[], int | None], refused: tuple[type[Exception], ...]) -> int:
    ended_by: list[int] = []  # Ray makes a plain KeyboardInterrupt of whatever a handler raises

    def end(number: int, frame: FrameType | None) -> NoReturn:
        del frame
        ended_by.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    try:
        return work() or 0
    except refused as error:
        return _say(f"error: {error}", 2)
    except StageError as error:
        return _say(f"error: {error}", 1)
    except SystemExit as leaving:
        if leaving.code != signal.SIGTERM:  # with which Ray's handler leaves, while it starts
            raise
        return _say("stopped by SIGTERM; run the same command again to continue", 143)
    except KeyboardInterrupt:
        how, code = ("stopped by SIGTERM", 143) if ended_by else ("interrupted", 130)
        return _say(f"{how}; run the same command again to continue", code)


def _say(text: str, code: int) -> int:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - the last line of a script
    return code


_UNLIMITED = 10_000  # columns of what is no terminal: a log or a pipe wants each row on one line


def make_console(stderr: bool = False) -> Console:
    """Return the terminal, or a log, which has no width to fit tables to unless COLUMNS says so."""
    stream = sys.stderr if stderr else sys.stdout
    if stream is None or not stream.isatty():
        width = shutil.get_terminal_size((0, 0)).columns if "COLUMNS" in os.environ else 0
        width = width or _UNLIMITED
        return Console(stderr=stderr, highlight=False, width=width, force_terminal=False)
    console = Console(stderr=stderr, highlight=False)
    if console.width and not console.is_dumb_terminal:  # whose width rich does not ask for
        return console
    width, height = shutil.get_terminal_size()
    return Console(stderr=stderr, highlight=False, width=width, height=height)


def values_of(flag: str, argv: Sequence[str]) -> list[str]:
    """Return the values that a flag is given."""
    values = [argv[i + 1] for i, word in enumerate(argv[:-1]) if word == flag]
    return values + [word.removeprefix(f"{flag}=") for word in argv if word.startswith(f"{flag}=")]


def _in_full(word: str) -> str:
    """Return a flag by its whole name."""
    flag, equals, value = word.partition("=")
    return f"{_SHORT.get(flag, flag)}{equals}{value}"


def with_flags(default: _Flags, argv: Sequence[str], description: str | None) -> _Flags:
    """Return a command with the flags over its defaults.

    Raises:
        UserError: A word is not UTF-8.
    """
    for word in argv:
        refuse_foreign_letters(word, "flags:")
    words = [_in_full(word) for word in argv]
    return tyro.cli(
        type(default),
        args=words,
        default=default,
        description=description,
        config=(tyro.conf.FlagCreatePairsOff,),
    )


def words_for(settings: type, name: str, value: Any) -> list[str]:
    """Return the words of a command line that give a setting a value other than its default.

    Args:
        settings: The dataclass of all settings.
        name: One of them, such as pretrain.recompute.
        value: What it is to be; text, several texts, a number, a truth, or None.
    """
    *parts, last = name.replace("-", "_").split(".")
    for part in parts:
        settings = get_type_hints(settings)[part]
    hint = get_type_hints(settings, include_extras=True)[last]
    flag = ".".join((*parts, last)).replace("_", "-")
    if isinstance(value, tuple):  # a flag for each
        return [f"--{flag}={each}" for each in value]
    if isinstance(value, bool):
        *parts, last = flag.split(".")
        return [f"--{flag}" if value else f"--{'.'.join((*parts, f'no-{last}'))}"]
    text = str(value) if value is None else _written(hint, value)
    return [f"--{flag}={text}"] if text.startswith("-") else [f"--{flag}", text]


def _written(hint: Any, value: Any) -> str:
    """Return a value as its type is read from a command line, such as 12000000ns."""
    for each in (hint, *get_args(hint)):
        for rule in getattr(each, "__metadata__", ()):
            if isinstance(rule, tyro.constructors.PrimitiveConstructorSpec):
                return rule.str_from_instance(value)[0]
    return str(value)
