"""The picture of the search."""

from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.axes import Axes

from analysis import history
from raynas.errors import UserError
from raynas.reporting.figures.history import ORIGINS
from tests.analysis.invented import InventedRun

Scored = tuple[str, int, float]  # origin, generation, score


def panel(run: InventedRun, scored: list[Scored]) -> Axes:
    """Return the panel of a run that scored these architectures in this order."""
    run.start()
    rows = [
        {"order": order, "origin": origin, "generation": generation, "score": score}
        for order, (origin, generation, score) in enumerate(scored)
    ]
    run.store.append("architectures", rows[::-1], "all")  # tables promise no order of rows
    return history.draw([run.store]).axes[0]


def dots(axes: Axes) -> dict[str, list[list[float]]]:
    return {
        str(group.get_label()): np.asarray(group.get_offsets()).tolist()
        for group in axes.collections
    }


def test_every_scored_architecture_is_a_dot_of_its_origin(full_run: InventedRun) -> None:
    drawn = dots(history.draw([full_run.store]).axes[0])

    assert drawn == {
        origin: [[row["order"], row["score"]] for row in full_run.scored if row["origin"] == origin]
        for origin in ("random", "mutation", "crossover")
    }
    assert sum(map(len, drawn.values())) == 1000


def test_the_six_known_origins_differ_in_colour_and_in_marker() -> None:
    colours, markers = zip(*ORIGINS.values(), strict=True)

    assert set(ORIGINS) == {
        "random",
        "mutation",
        "crossover",
        "exact",
        "given",
        "differentiable",
    }
    assert len(set(colours)) == len(set(markers)) == 6


def test_an_unknown_origin_is_drawn_too(invent: Callable[..., InventedRun]) -> None:
    axes = panel(invent(), [("random", 0, 1.0), ("dreamt", 0, 2.0)])

    assert dots(axes)["dreamt"] == [[1, 2.0]]


def test_the_line_is_the_best_score_so_far(invent: Callable[..., InventedRun]) -> None:
    axes = panel(invent(), [("random", 0, score) for score in (1.0, 3.0, 2.0, 4.0, 0.5)])

    (line,) = [line for line in axes.lines if line.get_label() == "best so far"]
    assert np.asarray(line.get_xdata()).tolist() == [0, 1, 2, 3, 4]
    assert np.asarray(line.get_ydata()).tolist() == [1.0, 3.0, 3.0, 4.0, 4.0]
    assert line.get_drawstyle() == "steps-post"


def test_a_score_that_is_not_finite_neither_shows_nor_hides_others(
    invent: Callable[..., InventedRun],
) -> None:
    axes = panel(invent(), [("given", 0, float("-inf")), ("given", 0, 1.0)])

    assert dots(axes) == {"given": [[1, 1.0]]}


def test_a_rule_stands_between_generations_and_each_is_numbered(
    invent: Callable[..., InventedRun],
) -> None:
    axes = panel(invent(), [("random", 0, 1.0)] * 2 + [("mutation", 1, 1.0)] * 3)

    rules = [line.get_xdata() for line in axes.lines if line.get_label() != "best so far"]
    assert np.asarray(rules)[:, 0].tolist() == [1.5]
    (upper,) = axes.child_axes
    assert [label.get_text() for label in upper.get_xticklabels()] == ["0", "1"]
    assert upper.get_xticks().tolist() == [0.5, 3.0]


def test_labels_say_the_formula_of_the_score_and_whose_run_it_is(small_run: InventedRun) -> None:
    axes = history.draw([small_run.store]).axes[0]

    assert axes.get_ylabel() == "Score (identity_ratio), higher is better"
    assert axes.get_xlabel() == "Architecture, in the order of scoring"
    assert axes.get_title(loc="left") == "run-a: fair_isometry on mobilenet_v2, seed 0"


def test_several_runs_have_a_panel_each_and_one_legend(invent: Callable[..., InventedRun]) -> None:
    runs = [invent(f"run-{seed}", seed).finish() for seed in range(3)]

    figure = history.draw([run.store for run in runs])
    assert [axes.get_title(loc="left")[:5] for axes in figure.axes] == ["run-0", "run-1", "run-2"]
    (legend,) = figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert sorted(texts) == ["best so far", "crossover", "mutation", "random"]


def test_a_search_without_a_row_is_refused(young_run: InventedRun) -> None:
    with pytest.raises(UserError, match="no rows in table architectures yet; the search writes"):
        history.draw([young_run.store])
