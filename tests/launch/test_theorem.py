"""launch/theorem.py: it measures a run's supernet without Ray, and refuses what has none."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch

from launch import theorem
from raynas.recording.pretraining_log import CHECKPOINT
from raynas.settings.settings import Settings
from raynas.storage.run_store import RunStore
from raynas.storage.schemas_beside_runs import INNER_PRODUCTS, INNER_PRODUCTS_FILE
from raynas.training.gradients import build_supernet
from tests.builders import shipped_space
from tests.data.samples import digits
from tests.exported import build_run

SPACE = shipped_space("small_mobile", identity=True)


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    """Return a run folder with a supernet whose scales are all 3."""
    dataset = digits(64, 40)
    folder = build_run(str(tmp_path / "run"), SPACE, [], dataset)
    vector = build_supernet(SPACE, Settings().pretrain, dataset, 0).vector
    folder.write_bytes(CHECKPOINT, safetensors.torch.save({"vector": torch.full_like(vector, 3)}))
    folder.append("ledger", [{"layer": 0, "updates": 3}], "final")
    return folder


def test_every_batch_norm_behind_a_filter_is_measured_with_the_trained_scales(
    store: RunStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert theorem.main([store.uri, "--pairs", "4"]) == 0

    table = pq.read_table(str(Path(store.uri) / INNER_PRODUCTS_FILE))
    rows = table.to_pylist()
    assert capsys.readouterr().out == f"{store.locate(INNER_PRODUCTS_FILE)}\n"
    assert table.schema.equals(INNER_PRODUCTS)
    assert len(rows) == 6 * 4 * 3  # layers, blocks, convolutions; identities have no filter
    assert {row["gamma"] for row in rows if row["batch_norm"] == 2} == {3.0}
    assert all(0 < row["slope"] < 2 for row in rows)
    assert {row["pairs"] for row in rows} == {4}


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--pairs", "0"], "--pairs: got 0, wanted at least 1"),
        (["--pairs", "9999"], "--pairs 9999: there are"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_sentence(
    store: RunStore, capsys: pytest.CaptureFixture[str], flags: list[str], sentence: str
) -> None:
    assert theorem.main([store.uri, *flags]) == 2

    assert sentence in capsys.readouterr().err


def test_a_run_without_a_pretrained_supernet_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = build_run(str(tmp_path / "bare"), SPACE, [], digits(64, 40))

    assert theorem.main([bare.uri]) == 2
    assert "wanted one whose pretraining has ended" in capsys.readouterr().err
