"""What is measured before anything is trained."""

from dataclasses import replace

import pytest

from raynas.nets.initialisation import Initialisation
from raynas.nets.isometry import measure_supernet
from raynas.recording import rows as table_rows
from raynas.recording.initial_isometry import initial_isometry
from raynas.settings.pretrain import PretrainSettings
from raynas.storage.run_store import RunStore
from tests.builders import build_space, build_supernet


@pytest.mark.parametrize(
    ("own", "wanted"),
    [
        ("qr", [("qr", True), ("qr", False), ("gaussian", True), ("gaussian", False)]),
        ("gaussian", [("gaussian", True), ("gaussian", False)]),
    ],
)
def test_the_runs_weights_come_first_and_gaussian_ones_beside_them_once(
    own: Initialisation, wanted: list[tuple[str, bool]], tmp_path: object
) -> None:
    space = build_space("R")
    settings = replace(PretrainSettings(), initialisation=own)
    rows = initial_isometry(space, 3, 3, settings, seed=0)
    store = RunStore.create(str(tmp_path))
    store.append("isometry", rows, part="initial")

    found = [(row["initialisation"], row["batch_norm"]) for row in store.rows("isometry")]
    assert found == [variant for variant in wanted for _ in range(3)]


def test_rows_are_the_measurements_of_the_supernets_and_only_the_runs_own_are_complete() -> None:
    space = build_space("R", identity=True)
    rows = initial_isometry(space, 3, 3, PretrainSettings(), seed=2)
    own = measure_supernet(build_supernet(space, seed=2), 2)
    supernet = build_supernet(space, initialisation="gaussian", seed=2)
    gaussian = measure_supernet(supernet, 2, batch_norm=False, brief=True)

    assert rows[:3] == table_rows.isometry_rows(space, own, "qr", batch_norm=True)
    assert rows[-3:] == table_rows.isometry_rows(space, gaussian, "gaussian", batch_norm=False)
    assert [row["largest_singular_value"] is None for row in rows] == [False] * 3 + [True] * 9
