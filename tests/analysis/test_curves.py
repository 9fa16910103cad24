"""The curves of pretraining and retraining."""

from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import curves
from raynas.reporting import plot_style
from tests.analysis.invented import InventedRun, Row


def panels(figure: Figure) -> dict[str, Axes]:
    """Return title to panel; the axes of a learning rate are called by their label."""
    return {axes.get_title(loc="left") or axes.get_ylabel(): axes for axes in figure.axes}


def heights(axes: Axes) -> list[list[float]]:
    return [np.asarray(line.get_ydata()).tolist() for line in axes.lines]


def epochs(trial: str, architecture: str, accuracies: list[float]) -> list[Row]:
    return [
        {
            "trial": trial,
            "architecture": architecture,
            "epoch": epoch,
            "train_loss": 9.0 - epoch,
            "val_loss": 10.0 - epoch,
            "val_accuracy": accuracy,
            "learning_rate": 0.1 / epoch,
        }
        for epoch, accuracy in enumerate(accuracies, 1)
    ]


def test_pretraining_shows_every_loss_and_a_running_mean(full_run: InventedRun) -> None:
    axes = panels(curves.draw(full_run.store))["Pretraining of the supernet"]

    losses = [row["loss"] for row in full_run.store.rows("steps")]
    raw, smooth = heights(axes)
    assert raw == losses
    assert axes.lines[1].get_label() == "mean of 30 steps"
    assert smooth[700] == pytest.approx(np.mean(losses[685:715]))
    assert smooth[0] == pytest.approx(np.mean(losses[:15]))


def test_the_learning_rate_is_fainter_than_the_losses(full_run: InventedRun) -> None:
    figure = curves.draw(full_run.store)

    rates = [axes for axes in figure.axes if axes.get_ylabel() == "Learning rate"]
    assert [len(heights(axes)[0]) for axes in rates] == [1500, 20]
    assert all((axes.lines[0].get_alpha() or 1) < 0.5 for axes in rates)


def test_retraining_shows_losses_and_accuracy_of_every_trial(
    young_run: InventedRun,
) -> None:
    young_run.store.append("trials", epochs("b", "1-0", [0.2, 0.3])[::-1], "b")
    young_run.store.append("trials", epochs("a", "0-1", [0.4]), "a")

    drawn = panels(curves.draw(young_run.store))
    assert heights(drawn["Retraining: loss"]) == [[8.0, 7.0], [8.0], [9.0, 8.0], [9.0]]
    assert heights(drawn["Retraining: validation accuracy"]) == [[0.2, 0.3], [0.4]]
    rate = np.asarray(drawn["Learning rate"].lines[0].get_xydata()).tolist()
    assert rate == [[1, 0.1], [2, 0.05]]
    assert "Pretraining of the supernet" not in drawn


def test_training_is_dashed_and_validation_solid(small_run: InventedRun) -> None:
    axes = panels(curves.draw(small_run.store))["Retraining: loss"]

    assert [line.get_linestyle() for line in axes.lines] == ["--", "--", "-", "-"]


def test_the_legend_names_each_architecture_in_full_with_its_rank(full_run: InventedRun) -> None:
    figure = curves.draw(full_run.store)
    figure.draw_without_rendering()

    outcomes = [row for row in full_run.store.rows("outcomes") if row["status"] == "finished"]
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == [f" {row['rank']}  {row['architecture']}" for row in outcomes]
    colours = [line.get_color() for line in legend.get_lines()]
    assert colours == list(plot_style.PALETTE[:3])
    boxes = [text.get_window_extent() for text in legend.get_texts()]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_without_outcomes_the_most_accurate_architecture_comes_first(
    young_run: InventedRun,
) -> None:
    young_run.store.append("trials", epochs("a", "0-1", [0.5, 0.1]), "a")
    young_run.store.append("trials", epochs("b", "1-0", [0.3, 0.4]), "b")

    (legend,) = curves.draw(young_run.store).legends
    assert [text.get_text() for text in legend.get_texts()] == [" -  0-1", " -  1-0"]


def test_more_architectures_than_colours_are_grey_and_counted(young_run: InventedRun) -> None:
    for index in range(9):
        rows = epochs(f"trial-{index}", f"{index}-0", [0.9 - index / 20])
        young_run.store.append("trials", rows, f"{index}")

    figure = curves.draw(young_run.store)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()][-2:] == [" -  5-0", "    3 more"]
    colours = [line.get_color() for line in panels(figure)["Retraining: validation accuracy"].lines]
    assert colours == [plot_style.FAINT] * 3 + list(plot_style.PALETTE[::-1])


def test_a_run_in_pretraining_shows_that_alone(invent: Callable[..., InventedRun]) -> None:
    run = invent()
    run.start()
    run.pretrain(7)

    drawn = panels(curves.draw(run.store))
    assert set(drawn) == {"Pretraining of the supernet", "Learning rate"}
    assert len(heights(drawn["Pretraining of the supernet"])[0]) == 7
