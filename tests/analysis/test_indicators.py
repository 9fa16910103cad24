"""The heat map of indicators."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.text import Text

from analysis import indicators
from raynas.errors import UserError
from raynas.settings.pretrain import PretrainSettings
from raynas.settings.search import SearchSettings
from raynas.settings.settings import Settings
from raynas.storage.run_store import RunStore
from tests.analysis.invented import InventedRun, Row, Size


def block(layer: int, candidate: int, value: float, operation: str = "k3e3", step: int = 0) -> Row:
    return {
        "step": step,
        "layer": layer,
        "candidate": candidate,
        "operation": operation,
        "kind": "block",
        "value": value,
    }


def layer_indicator(layer: int, value: float, step: int = 0) -> Row:
    return {"step": step, "layer": layer, "operation": "identity", "kind": "layer", "value": value}


def heat_map(run: InventedRun, rows: list[Row]) -> Axes:
    run.start()
    run.store.append("indicators", rows, "all")
    return indicators.draw(run.store).axes[0]


def cells(axes: Axes) -> dict[tuple[float, float], Text]:
    """Return column and row of a number to its text; a heat map's other texts are labels."""
    return {(text.get_position()[0], text.get_position()[1]): text for text in axes.texts}


def test_each_value_of_the_last_step_stands_in_its_layer_and_candidate(
    small_run: InventedRun,
) -> None:
    figure = indicators.draw(small_run.store)

    last = [row for row in small_run.store.rows("indicators") if row["step"] == 59]
    wanted = {
        (6.3 if row["kind"] == "layer" else row["candidate"], row["layer"]): f"{row['value']:.3f}"
        for row in last
    }
    shown = {place: text.get_text() for place, text in cells(figure.axes[0]).items()}
    assert len(wanted) == 6 * 6 + 4
    assert shown == wanted


def test_every_number_fits_into_its_cell(invent: Callable[..., InventedRun]) -> None:
    figure = indicators.draw(invent(size=Size(records=1)).finish().store)
    figure.draw_without_rendering()

    axes = figure.axes[0]
    (left, top), (right, bottom) = axes.transData.transform([(0, 0), (1, 1)])
    for text in axes.texts:
        extent = text.get_window_extent()
        assert extent.width < 0.9 * (right - left)
        assert extent.height < 0.9 * (top - bottom)


@pytest.mark.slow
def test_columns_are_named_by_operations_and_the_last_is_the_layer_indicator(
    small_run: InventedRun,
) -> None:
    axes = indicators.draw(small_run.store).axes[0]

    names = [label.get_text() for label in axes.get_xticklabels()]
    assert names == ["k3e3", "k3e6", "k5e3", "k5e6", "k7e3", "k7e6", "layer\nindicator"]
    assert [label.get_text() for label in axes.get_yticklabels()] == [*"012345"]
    assert axes.get_xlabel() == "Candidate operation, at recorded step 59"


def test_where_layers_name_a_candidate_differently_both_names_show(
    invent: Callable[..., InventedRun],
) -> None:
    axes = heat_map(invent(), [block(0, 0, 1.0, "downsample"), block(1, 0, 2.0, "identity")])

    assert [label.get_text() for label in axes.get_xticklabels()] == ["0: downsample /\nidentity"]


def test_the_largest_of_a_layer_is_bold_and_a_tie_of_all_is_not(
    invent: Callable[..., InventedRun],
) -> None:
    rows = [block(0, 0, 1.0), block(0, 1, 2.0), block(1, 0, 1.5), block(1, 1, 1.5)]
    shown = cells(heat_map(invent(), [*rows, layer_indicator(0, 9.0)]))

    bold = [place for place, text in shown.items() if text.get_fontweight() == "bold"]
    assert bold == [(1, 0)]


def test_what_is_missing_has_no_number_and_lies_on_a_hatched_ground(
    invent: Callable[..., InventedRun],
) -> None:
    axes = heat_map(invent(), [block(0, 0, 1.0), block(1, 1, 2.0), block(1, 0, float("nan"))])

    assert set(cells(axes)) == {(0, 0), (1, 1)}
    assert [patch.get_hatch() for patch in axes.patches] == ["////"]
    (mesh,) = axes.collections
    values = mesh.get_array()
    assert values is not None
    shown = np.isfinite(np.ma.filled(values, np.nan))
    assert shown.tolist() == [[True, False], [False, True]]


def test_a_run_without_layer_indicators_has_no_column_for_them(
    invent: Callable[..., InventedRun],
) -> None:
    axes = heat_map(invent(), [block(0, 0, 1.0), block(0, 1, 2.0)])

    assert len(axes.get_xticklabels()) == 2
    assert axes.get_xlim() == (-0.5, 1.5)


def test_one_recorded_step_needs_no_second_panel(invent: Callable[..., InventedRun]) -> None:
    run = invent()
    heat_map(run, [block(0, 0, 1.0), block(0, 1, 2.0)])

    assert [axes.get_ylabel() for axes in indicators.draw(run.store).axes] == [
        "Layer",
        "Indicator (mean |gamma|)",  # the scale of colours
    ]


def test_the_second_panel_follows_each_layer_over_the_recorded_steps(
    invent: Callable[..., InventedRun],
) -> None:
    run, steps = invent(), [20, 0, 10]
    rows = [block(0, 0, step + 1.0, step=step) for step in steps]
    rows += [layer_indicator(1, step + 2.0, step) for step in steps]
    heat_map(run, [*rows, *(block(1, 0, step + 3.0, step=step) for step in steps)])

    panels = {axes.get_title(loc="left"): axes for axes in indicators.draw(run.store).axes}
    lines = [np.asarray(line.get_xydata()).tolist() for line in panels["layer 1"].lines]
    assert lines == [[[0, 3], [10, 13], [20, 23]], [[0, 2], [10, 12], [20, 22]]]
    assert np.asarray(panels["layer 0"].lines[0].get_ydata()).tolist() == [1, 11, 21]


def test_the_second_panel_shows_no_more_than_the_layers_and_names_what_it_draws(
    invent: Callable[..., InventedRun],
) -> None:
    run = invent()
    heat_map(run, [block(layer, 0, step + 1.0, step=step) for layer in range(7) for step in (0, 9)])

    below = indicators.draw(run.store).subfigs[1]
    shown = [axes for axes in below.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in shown] == [f"layer {i}" for i in range(7)]
    (legend,) = below.legends
    assert [text.get_text() for text in legend.get_texts()] == ["k3e3"]
    numbered = [axes for axes in shown if axes.xaxis.get_tick_params()["labelbottom"]]
    assert numbered == shown[2:]  # the lowest of each column


def test_another_kind_is_drawn_alone_when_it_is_asked_for(young_run: InventedRun) -> None:
    taylor = [block(0, i, i + 5.0) | {"kind": "taylor"} for i in range(2)]
    rows = [*taylor, block(0, 0, 1.0), layer_indicator(0, 2.0)]
    young_run.store.append("indicators", rows, "all")

    figure = indicators.draw(young_run.store, "taylor")
    shown = [text.get_text() for text in figure.axes[0].texts]
    assert shown == ["5.000", "6.000"]
    assert figure.axes[1].get_ylabel() == "Indicator (taylor)"
    assert indicators.main([young_run.store.uri, "--kind", "taylor"]) == 0
    assert young_run.store.list_files("figures") == ["indicators-taylor.png"]


def test_a_kind_that_the_run_does_not_have_is_refused_with_those_it_has(
    young_run: InventedRun,
) -> None:
    young_run.store.append("indicators", [block(0, 0, 1.0) | {"kind": "taylor"}], "all")

    with pytest.raises(UserError, match=r"--kind block: .* has indicators of taylor$"):
        indicators.draw(young_run.store)


def test_a_run_whose_batch_norms_did_not_learn_is_refused_by_that(tmp_path: Path) -> None:
    store = RunStore.create(str(tmp_path))
    settings = Settings(
        pretrain=PretrainSettings(trainable="weights"), search=SearchSettings(score="accuracy")
    )
    store.append("runs", [{"settings": settings.to_json()}], "run")

    with pytest.raises(UserError, match="no indicators, since none of its batch norms learnt"):
        indicators.draw(store)
