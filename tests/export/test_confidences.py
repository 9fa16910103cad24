"""Exports of networks whose confidences were calibrated: model.py, ONNX, card and config agree."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from raynas.export import onnx
from raynas.export.model_card import model_card
from raynas.export.module_source import import_file
from raynas.export.run_exports import exports_of
from raynas.recording.answers import Answering, write_answers
from raynas.storage.run_store import RunStore
from raynas.training.answers import Answers
from tests.builders import shipped_space
from tests.exported import build_run, named_dataset, photographs
from tests.launch.scripts import load_script

BEST, TEMPERATURE = "0-4-2-3-1-4", 0.5
SPACE = shipped_space("small_mobile", identity=True)
predict = load_script("predict")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the export of a network with a temperature."""
    store = build_run(str(tmp_path_factory.mktemp("runs") / "run"), SPACE, [BEST])
    outcome = store.rows("outcomes")[0] | {"temperature": TEMPERATURE}
    answer(store, scaled=0.75)
    exports_of(store, SPACE, named_dataset()).make(outcome)
    return Path(store.locate(f"exports/{BEST}"))


def answer(store: RunStore, scaled: float | None) -> None:
    """Write answers of which three quarters are right, given with 0.9, and scaled with 0.75."""
    label, shares = np.zeros(8, np.int32), np.full(8, 0.9, np.float32)
    said = (np.arange(8) % 4 == 0).astype(np.int32)
    known = None if scaled is None else np.full(8, scaled, np.float32)
    answers = Answers(label, said, shares, shares, known)
    write_answers(store, Answering(BEST, BEST, False, "train"), {"test": answers})


@pytest.mark.skipif(bool(onnx.missing_packages()), reason="needs onnx")
def test_probabilities_are_of_logits_over_the_temperature_and_logits_stay(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module: Any = import_file(folder / "model.py")
    network, picture = module.load(), photographs()[0]
    picture.save(tmp_path / "a.png")
    with torch.no_grad():
        logits = network(module.preprocess(Image.open(tmp_path / "a.png")))[0]
    wanted = (logits / TEMPERATURE).softmax(0).sort(descending=True).values.tolist()
    shares = [share for _, share in module.classify(network, Image.open(tmp_path / "a.png"))]
    printed = []
    for flags in ([], ["--onnx"]):
        assert predict.main([str(folder), str(tmp_path / "a.png"), "--json", *flags]) == 0
        (line,) = capsys.readouterr().out.splitlines()
        printed.append([each["probability"] for each in json.loads(line)["classes"]])

    assert shares == pytest.approx(wanted, rel=1e-6)
    assert printed[0] == pytest.approx(wanted, rel=1e-5)
    assert printed[1] == pytest.approx(wanted, rel=1e-3)


def test_card_and_config_tell_the_temperature_and_the_error_before_and_after(folder: Path) -> None:
    config, card = (
        (folder / name).read_text(encoding="utf-8") for name in ("config.json", "README.md")
    )
    found = json.loads(config)

    assert found["temperature"] == TEMPERATURE
    assert found["calibration"] == pytest.approx(
        {"images": 8, "bins": 15, "error": 0.15, "scaled_error": 0.0}, abs=1e-6
    )
    assert "test | 15.0 % as trained, **0.0 %** with its temperature, 0.500 (15 bins) |" in card
    assert "logits come out, to be divided by 0.5000 before the softmax" in card
    assert "`forward` and `model.onnx` return logits as they are" in card
    assert "after a first training without them" in model_card(
        found | {"found_by": found["found_by"] | {"trained_on": "all"}}
    )


def test_a_card_says_why_confidences_were_not_calibrated(folder: Path) -> None:
    found = json.loads((folder / "config.json").read_text(encoding="utf-8")) | {"temperature": None}
    tested = {"test": found["accuracy"]["test"]}

    assert "no temperature lowers the negative log likelihood" in model_card(found)
    assert "no images were left to fit" in model_card(found | {"accuracy": tested})
    assert "were not calibrated; training smoothed" in model_card(found | {"calibration": None})
