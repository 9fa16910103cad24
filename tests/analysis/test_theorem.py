"""The table and the figure of Theorem 1."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis import theorem
from raynas.storage.schemas_beside_runs import INNER_PRODUCTS, INNER_PRODUCTS_FILE
from tests.analysis.invented import InventedRun


def measured(run: InventedRun) -> InventedRun:
    """Write two layers of two batch norms each; the larger gamma has the larger difference."""
    rows = [
        dict.fromkeys(theorem.MEASURES, 1.0)
        | {"layer": layer, "candidate": 0, "batch_norm": number, "groups": 1 + 8 * number}
        | {"gamma": 1.0 + layer + number / 4, "slope": 0.5 + layer, "relative": layer + number / 4}
        for layer in range(2)
        for number in range(2)
    ]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema=INNER_PRODUCTS), sink)
    run.store.write_bytes(INNER_PRODUCTS_FILE, sink.getvalue().to_pybytes())
    return run


def test_layers_have_medians_and_gamma_a_rank_correlation(
    young_run: InventedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    store = measured(young_run).store

    assert theorem.main([store.uri, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [layer["slope"] for layer in found["layers"]] == [0.5, 1.5]
    assert [layer["gamma"] for layer in found["layers"]] == [1.125, 2.125]
    assert found["gamma_correlation"] == pytest.approx(1)
    assert found["figure"] == store.locate("figures/theorem.png")


def test_the_table_has_a_row_a_layer_and_the_path_comes_last(
    young_run: InventedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    assert theorem.main([measured(young_run).store.uri]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[-5:-2]] == ["0", "1", "all"]
    assert "Spearman's rho +1.00 over 4 batch norms" in lines[-2]
    assert lines[-1].endswith("figures/theorem.png")


def test_dense_and_depthwise_filters_are_told_apart(young_run: InventedRun) -> None:
    figure = theorem.draw(measured(young_run).store)
    drawn = [
        np.asarray(dots.get_offsets()).tolist() for axes in figure.axes for dots in axes.collections
    ]

    assert np.allclose(drawn[0], [[-0.14, 0.5], [0.86, 1.5]])
    assert np.allclose(drawn[1], [[0.14, 0.5], [1.14, 1.5]])
    assert drawn[2:] == [[[1.0, 1.0]] * 2] * 2
    (legend, _) = (axes.get_legend() for axes in figure.axes)
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "dense filters",
        "depthwise filters",
    ]


def test_nothing_measured_yet_names_the_script_that_measures(
    young_run: InventedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    assert theorem.main([young_run.store.uri]) == 2

    assert "python launch/theorem.py RUN writes it" in capsys.readouterr().err
