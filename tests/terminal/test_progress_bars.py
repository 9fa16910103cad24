"""The progress of a run, on a terminal and in a log."""

import io
import re
import time

import pytest
from rich.console import Console

from raynas.terminal.progress_bars import Stages


def log(every: float = 0.02) -> tuple[Stages, io.StringIO]:
    """Return the progress of a run that writes into a file."""
    output = io.StringIO()
    return Stages(Console(file=output, width=200), log_every=every), output


def test_a_log_gets_a_line_now_and_then_and_one_at_the_end_of_a_stage() -> None:
    stages, output = log()
    with stages:
        advance = stages.stage("pretrain", 100, "steps")
        for done in range(0, 101, 2):
            advance(done, f"loss {done}")
            time.sleep(0.005)
    lines = output.getvalue().splitlines()

    assert 2 <= len(lines) < 51
    assert lines[-1].startswith("pretrain  100/100 steps, ")
    assert lines[-1].endswith("loss 100")
    assert "left" not in lines[-1]
    assert "about 0 s left" in lines[-2]


def test_a_stage_in_which_nothing_moves_still_says_where_it_is() -> None:
    stages, output = log()
    with stages:
        stages.expect({"retrain": 90.0, "export": 45.0})
        stages.stage("retrain", 45, "epochs")
        time.sleep(0.3)
    lines = output.getvalue().splitlines()

    assert len(lines) >= 2
    assert lines[0].startswith("retrain   0/45 epochs, 0 s, about 90 s left, 2.2 min with what fol")


def test_a_stage_that_has_ended_is_silent() -> None:
    stages, output = log()
    with stages:
        stages.stage("search", 1, "generations")(1)
        time.sleep(0.1)
    assert len(output.getvalue().splitlines()) == 1


def test_what_is_left_may_be_less_than_the_units_because_several_are_worked_on_at_once() -> None:
    stages, output = log(every=0.05)
    with stages:
        advance = stages.stage("retrain", 1000, "epochs")
        advance(2, left=499)
        time.sleep(0.1)
        advance(4, left=498)
        time.sleep(0.12)
    last = output.getvalue().splitlines()[-1]

    assert "4/1000 epochs" in last
    left = re.search(r"about (\d+) s left", last)
    assert left
    assert 45 <= int(left[1]) < 70  # 498 of 0.1 s and what a busy machine adds; not 996


def test_a_forecast_counts_down_where_several_units_are_worked_on_at_once() -> None:
    stages, output = log(every=0.05)
    with stages:
        stages.expect({"rivals": 60.0})
        advance = stages.stage("rivals", 80, "epochs", at_a_time=2)
        advance(0, left=40)
        time.sleep(0.1)

    assert "0/80 epochs, 0 s, about 60 s left" in output.getvalue()


def test_a_terminal_shows_a_bar_with_the_time_left() -> None:
    output = io.StringIO()
    stages = Stages(Console(file=output, force_terminal=True, force_interactive=True, width=120))
    with stages:
        stages.expect({"pretrain": 500.0})
        advance = stages.stage("pretrain", 10, "steps")
        advance(1, "loss 2.3")
        time.sleep(0.15)
        advance(2, "loss 2.2")
        time.sleep(0.15)
    shown = output.getvalue()

    assert "2/10" in shown
    assert "min left" in shown  # the forecast's: 400 s
    assert "loss 2.2" in shown


@pytest.mark.parametrize("width", [80, 40])
def test_a_narrow_terminal_shows_the_line_of_a_log_folded_but_whole(width: int) -> None:
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, force_interactive=True, width=width)
    architecture = "-".join("35" * 10)
    with Stages(console) as stages:
        stages.expect({"retrain": 3000.0})
        stages.stage("retrain", 300, "epochs")(10, f"{architecture} 0.933")
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", output.getvalue())

    assert architecture in shown.replace("\n", "")
    assert "10/300 epochs" in shown
    assert "…" not in shown


def test_a_terminal_that_can_draw_nothing_anew_gets_the_lines_of_a_log() -> None:
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, force_interactive=False, width=80)
    with Stages(console) as stages:
        stages.stage("search", 1, "generations")(1)

    assert output.getvalue() == "search    1/1 generations, 0 s\n"


def test_texts_are_shown_as_they_are() -> None:
    stages, output = log()
    with stages:
        stages.print("[bold]3-0-5[/bold]")
    assert output.getvalue() == "[bold]3-0-5[/bold]\n"
