"""The table and the figure of isometry at initialisation."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.axes import Axes

from analysis import isometry
from tests.analysis.invented import InventedRun, Row


def row(layer: int, candidate: int, phi: float, **more: object) -> Row:
    return {
        "layer": layer,
        "candidate": candidate,
        "operation": f"op{candidate}",
        "phi": phi,
        "varphi": 10 * phi,
        "initialisation": "qr",
        "batch_norm": True,
    } | more


def measured(run: InventedRun, rows: list[Row]) -> InventedRun:
    run.start()
    run.store.append("isometry", rows, "initial")
    return run


def points(axes: Axes) -> list[list[list[float]]]:
    """Return layer and phi of every point, group by group."""
    return [np.asarray(dots.get_offsets()).tolist() for dots in axes.collections]


def test_a_layer_has_its_medians_and_the_spread_of_phi_over_candidates(
    invent: Callable[..., InventedRun],
) -> None:
    """Phi of 1, 2 and 6: median 2, mean 3, population variance 14/3."""
    run = measured(invent(), [row(3, i, phi) for i, phi in enumerate((1.0, 2.0, 6.0))])
    (found,) = isometry.isometry_by_layer(isometry.read(run.store)).to_dict("records")

    assert found == {
        "initialisation": "qr",
        "batch_norm": True,
        "layer": 3,
        "phi": 2.0,
        "varphi": 20.0,
        "spread": pytest.approx((14 / 3) ** 0.5 / 3),
    }


def test_identities_do_not_count(invent: Callable[..., InventedRun]) -> None:
    rows = [row(0, 0, 2.0), row(0, 1, 1.0, operation="identity")]
    read = isometry.read(measured(invent(), rows).store)

    assert read["phi"].tolist() == [2.0]


def test_rows_of_an_older_run_are_its_own_weights_with_batch_norms(
    invent: Callable[..., InventedRun],
) -> None:
    rows = [row(0, i, 2.0, initialisation=None, batch_norm=None) for i in range(2)]
    run = measured(invent(), rows)

    assert [(name, norm) for name, norm, _ in isometry.variants(isometry.read(run.store))] == [
        ("qr", True)
    ]
    panels = isometry.draw([run.store]).axes
    assert [len(points(axes)) for axes in panels] == [1, 0]


def test_weights_are_kept_apart_and_batch_norms_have_a_panel_of_their_own(
    invent: Callable[..., InventedRun],
) -> None:
    kinds = [("qr", True), ("qr", False), ("gaussian", True), ("gaussian", False)]
    rows = [
        row(4, 0, value, initialisation=name, batch_norm=norm)
        for value, (name, norm) in enumerate(kinds, 1)
    ]
    panels = isometry.draw([measured(invent(), rows).store]).axes

    left, right = (points(axes) for axes in panels)
    assert left == [[[pytest.approx(3.86), 1.0]], [[pytest.approx(4.14), 3.0]]]
    assert right == [[[pytest.approx(3.86), 2.0]], [[pytest.approx(4.14), 4.0]]]
    assert [axes.get_title(loc="left").splitlines()[-1] for axes in panels] == [
        "with batch norms",
        "without batch norms",
    ]


def test_the_printed_table_has_a_row_a_layer_medians_and_maxima_and_then_the_path(
    small_run: InventedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    assert isometry.main([small_run.store.uri]) == 0

    *table, path = capsys.readouterr().out.splitlines()
    firsts = [line.split()[0] for line in table if line.strip()]
    assert firsts[-8:] == [*"012345", "median", "max"]
    assert all(len(line.split()) == 1 + 4 * 3 for line in table if line.split()[:1] == ["median"])
    assert path == small_run.store.locate("figures/isometry.png")


def test_json_has_the_same_figures_and_medians_and_maxima_over_layers(
    small_run: InventedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    assert isometry.main([small_run.store.uri, "--json"]) == 0

    found = json.loads(capsys.readouterr().out)
    (run,) = found["runs"]
    assert found["figure"] == small_run.store.locate("figures/isometry.png")
    assert len(run["layers"]) == 4 * 6
    spreads = {(m["initialisation"], m["batch_norm"]): m["spread"] for m in run["medians"]}
    own = [line["spread"] for line in run["layers"][:6]]
    assert spreads["qr", True] == pytest.approx(np.median(own))
    assert run["maxima"][0]["spread"] == max(own)
    assert max(spreads, key=lambda variant: spreads[variant]) == ("gaussian", False)


def test_every_run_has_its_panels_and_the_first_ones_folder_the_picture(
    invent: Callable[..., InventedRun], capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [measured(invent(name), [row(0, 0, 1.0), row(0, 1, 2.0)]) for name in ("a", "b")]
    stores = [run.store for run in runs]

    assert len(isometry.draw(stores).axes) == 4
    assert isometry.main([store.uri for store in stores]) == 0
    assert capsys.readouterr().out.endswith(f"{stores[0].locate('figures/isometry.png')}\n")
    assert stores[1].list_files("figures") == []
