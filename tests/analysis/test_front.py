"""The picture of accuracy against multiply-adds."""

import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import front
from raynas.costs.costs import Limits
from raynas.errors import UserError
from raynas.reporting.figures.front import near_limits
from raynas.reporting.queries import pareto
from raynas.settings.settings import Settings
from tests.analysis.invented import InventedRun, Row


def outcome(
    rank: int, macs: int, val: float | None, test: float | None = None, status: str = "finished"
) -> Row:
    return {
        "rank": rank,
        "architecture": f"{rank}-0",
        "macs": macs,
        "val_accuracy": val,
        "test_accuracy": test,
        "status": status,
    }


def panel(run: InventedRun, rows: list[Row]) -> Axes:
    run.start()
    run.store.append("outcomes", rows, "all")
    return front.draw([run.store]).axes[0]


def stairs(axes: Axes) -> dict[str, list[list[float]]]:
    return {
        str(line.get_linestyle()): np.asarray(line.get_xydata()).tolist() for line in axes.lines
    }


def test_the_front_holds_what_nothing_as_cheap_equals() -> None:
    points = pd.DataFrame(
        {
            "macs": [100, 100, 200, 300, 300, 400],
            "val_accuracy": [0.5, 0.6, 0.6, 0.7, 0.65, 0.69],
        }
    )

    found = pareto(points, "val_accuracy")
    assert found[["macs", "val_accuracy"]].to_numpy().tolist() == [[100, 0.6], [300, 0.7]]


def test_both_fronts_are_stairs_that_go_on_to_the_dearest_point(
    invent: Callable[..., InventedRun],
) -> None:
    rows = [outcome(1, 300, 0.7, 0.6), outcome(2, 200, 0.6, 0.65), outcome(3, 400, 0.5, 0.5)]
    axes = panel(invent(), rows)

    assert stairs(axes) == {
        "--": [[200, 0.6], [300, 0.7], [400, 0.7]],
        "-": [[200, 0.65], [400, 0.65]],
    }
    assert {line.get_drawstyle() for line in axes.lines} == {"steps-post"}


def test_validation_is_hollow_and_test_filled_at_the_same_macs(
    invent: Callable[..., InventedRun],
) -> None:
    axes = panel(invent(), [outcome(1, 300, 0.7, 0.6), outcome(2, 200, 0.6, 0.65)])

    _, hollow, filled = axes.collections
    assert np.asarray(hollow.get_offsets()).tolist() == [[300, 0.7], [200, 0.6]]
    assert np.asarray(filled.get_offsets()).tolist() == [[300, 0.6], [200, 0.65]]
    assert len(hollow.get_facecolor()) == 0
    assert len(filled.get_facecolor()) == 1


def test_stopped_and_failed_outcomes_are_left_out(invent: Callable[..., InventedRun]) -> None:
    rows = [
        outcome(1, 300, 0.7, 0.6),
        outcome(2, 100, 0.9, status="stopped"),
        outcome(3, 200, None, status="failed"),
    ]
    axes = panel(invent(), rows)

    assert [text.get_text() for text in axes.texts] == ["1"]
    assert stairs(axes)["--"] == [[300, 0.7], [300, 0.7]]


def test_an_outcome_without_test_accuracy_is_drawn_by_its_validation(
    invent: Callable[..., InventedRun],
) -> None:
    axes = panel(invent(), [outcome(1, 300, 0.7), outcome(2, 200, 0.6, 0.65)])

    assert [text.get_text() for text in axes.texts] == ["1", "2"]
    assert stairs(axes)["-"] == [[200, 0.65], [300, 0.65]]


def test_the_list_below_says_what_each_label_stands_for(full_run: InventedRun) -> None:
    figure = front.draw([full_run.store])

    rows = [row for row in full_run.store.rows("outcomes") if row["status"] == "finished"]
    lines = figure.axes[1].texts[0].get_text().splitlines()
    assert len(lines) == 3
    for line, row in zip(lines, rows, strict=True):
        val, test = 100 * row["val_accuracy"], 100 * row["test_accuracy"]
        wanted = f"{row['rank']} {row['architecture']} {row['macs'] / 1e6:.3f}M"
        assert " ".join(line.split()) == f"{wanted} val {val:.2f} % test {test:.2f} %"


def test_labels_of_close_points_do_not_cover_each_other(invent: Callable[..., InventedRun]) -> None:
    places = [(300, 0.9), (305, 0.902), (500, 0.8), (503, 0.797), (900, 0.5)]
    rows = [outcome(rank, macs, val, val - 0.005) for rank, (macs, val) in enumerate(places)]
    run = invent()
    panel(run, rows)
    figure = front.draw([run.store])
    figure.draw_without_rendering()

    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 5
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_runs_differ_in_marker_and_colour_and_labels_begin_with_their_letter(
    invent: Callable[..., InventedRun],
) -> None:
    runs = [invent(f"run-{seed}", seed).finish() for seed in range(2)]
    waiting = invent("run-2")
    waiting.start()

    figure = front.draw([run.store for run in [*runs, waiting]])
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["A1", "A2", "B1", "B2"]
    legend = axes.get_legend()
    assert legend is not None
    entries = {line.get_label(): line for line in legend.get_lines()}
    assert list(entries)[-3:] == ["run A", "run B", "run C"]
    assert entries["run A"].get_marker() != entries["run B"].get_marker()
    assert entries["run A"].get_color() != entries["run B"].get_color()
    below = figure.axes[1].texts[0].get_text()
    assert "A  run-0: fair_isometry on mobilenet_v2, seed 0\n" in below
    assert below.endswith("C  run-2: fair_isometry on mobilenet_v2, seed 0 (nothing finished yet)")


def test_a_long_list_is_cut_and_says_by_how_much(invent: Callable[..., InventedRun]) -> None:
    run = invent()
    panel(run, [outcome(rank, 300 + rank, 0.9 - rank / 100, 0.5) for rank in range(1, 31)])

    lines = front.draw([run.store]).axes[1].texts[0].get_text().splitlines()
    assert len(lines) == 25
    assert lines[-1].strip() == "and 6 more"


def test_axes_say_what_they_measure(small_run: InventedRun) -> None:
    axes = front.draw([small_run.store]).axes[0]

    assert axes.get_xlabel() == "Multiply-adds of one image (MACs)"
    assert axes.get_ylabel() == "Accuracy (%)"


def test_runs_without_a_finished_outcome_are_refused(invent: Callable[..., InventedRun]) -> None:
    with pytest.raises(UserError, match="no finished row in table outcomes"):
        panel(invent(), [outcome(1, 100, 0.9, status="stopped")])


def test_another_cost_has_a_front_of_its_own_on_its_axis(
    invent: Callable[..., InventedRun],
) -> None:
    """Cheap in MACs is not quick."""
    run = invent()
    rows = [
        outcome(1, 300, 0.7, 0.6) | {"latency_ms": 2.0, "params": 5},
        outcome(2, 200, 0.6, 0.5) | {"latency_ms": 4.0, "params": 6},
    ]
    panel(run, rows)
    axes = front.draw([run.store], "latency").axes[0]

    assert axes.get_xlabel() == "Latency by the run's table (ms)"
    assert stairs(axes)["--"] == [[2.0, 0.7], [4.0, 0.7]]
    assert front.draw([run.store], "params").axes[0].get_xlabel() == "Parameters"
    assert "2 ms" in front.draw([run.store], "latency").axes[1].texts[0].get_text()


def test_a_run_of_several_costs_has_a_panel_for_each(invent: Callable[..., InventedRun]) -> None:
    run = invent()
    panel(run, [outcome(1, 300, 0.7, 0.6) | {"params": 5}, outcome(2, 200, 0.6) | {"params": 6}])
    (row,) = run.store.rows("runs")
    settings = json.loads(row["settings"])
    settings["search"]["objectives"] = "score,params,macs"
    run.store.append("runs", [row | {"settings": json.dumps(settings)}], "run")
    figure = front.draw([run.store])

    assert [axes.get_xlabel() for axes in figure.axes[:2]] == [
        "Parameters",
        "Multiply-adds of one image (MACs)",
    ]
    assert len(figure.axes) == 3


def test_a_latency_that_nobody_measured_is_refused(full_run: InventedRun) -> None:
    with pytest.raises(UserError, match=r"--cost latency: no outcome has one; .*--latency-table"):
        front.draw([full_run.store], "latency")


def test_limits_that_lie_near_the_points_are_dotted_lines_and_others_are_left_out() -> None:
    points = pd.DataFrame([outcome(1, 300, 0.7, 0.6), outcome(2, 200, 0.6, 0.65)])
    axes = Figure().subplots()
    front.paint(axes, points.assign(run=0, label="1"), "macs", Limits(max_macs=320, min_macs=99))

    assert stairs(axes)[":"] == [[320, 0], [320, 1]]
    assert near_limits(points, "macs", Limits(max_macs=401, min_macs=100)) == [100]


def test_rivals_of_one_run_are_crosses_with_names_that_no_front_counts(
    invent: Callable[..., InventedRun],
) -> None:
    beside = [
        {"rival": "random", "network": "3-1", "status": "finished", "macs": 100},
        {"rival": "narrow_start", "network": "narrow_start@0.5 of 2-2", "status": "finished"},
        {"rival": "start", "network": "2-2", "status": "left out"},
    ]
    run, other = invent("one"), invent("other")
    rows = [{"val_accuracy": 0.9, "test_accuracy": 0.8, "macs": 500} | row for row in beside]
    run.store.append("rivals", rows, "all")
    axes = panel(run, [outcome(1, 300, 0.7, 0.6), outcome(2, 200, 0.6, 0.65)])

    *_, hollow, filled = axes.collections
    assert np.asarray(hollow.get_offsets()).tolist() == [[100, 0.9], [500, 0.9]]
    assert np.asarray(filled.get_offsets()).tolist() == [[100, 0.8], [500, 0.8]]
    assert [text.get_text() for text in axes.texts] == ["1", "2", "random", "narrow_start@0.5"]
    assert stairs(axes)["--"] == [[200, 0.6], [300, 0.7], [300, 0.7]]
    legend = axes.get_legend()
    assert legend is not None
    assert "not searched for" in [text.get_text() for text in legend.get_texts()]
    panel(other, [outcome(1, 300, 0.7, 0.6)])
    several = front.draw([run.store, other.store]).axes[0]
    assert "random" not in [text.get_text() for text in several.texts]


def test_the_limits_of_runs_are_drawn_where_all_had_them(
    invent: Callable[..., InventedRun],
) -> None:
    rows = [outcome(1, 300_000_000, 0.7, 0.6), outcome(2, 200_000_000, 0.6, 0.5)]
    one, other = invent("one"), invent("other")
    assert stairs(panel(one, rows))[":"] == [[330_000_000, 0], [330_000_000, 1]]

    assert ":" in stairs(panel(other, rows))
    assert ":" in stairs(front.draw([one.store, other.store]).axes[0])
    (row,) = other.store.rows("runs")
    other.store.append("runs", [row | {"settings": Settings(max_macs=9).to_json()}], "run")
    assert ":" not in stairs(front.draw([one.store, other.store]).axes[0])
