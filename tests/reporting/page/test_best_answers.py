"""Classes, mistakes and confidences of the best network on the page."""

import base64
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raynas.recording.answers import MOST_MISTAKES, Answering, write_answers, write_mistakes
from raynas.reporting.page.best_answers import by_class, calibration, confusion, mistakes
from raynas.reporting.page.run_snapshot import RunSnapshot, take_snapshot
from raynas.reporting.page.writing import make_page
from raynas.reporting.summary import calibration_lines
from raynas.storage.run_store import RunStore
from raynas.training.answers import Answers
from tests.data.samples import build_images
from tests.reporting.page.runs import make_run, outcome

BEST = Answering("1-0", "1-0", False, "train")
HOSTILE = "<script>alert(1)</script>"


def answers_of(label: list[int], answer: list[int], *, is_scaled: bool = False) -> Answers:
    """Return answers that are given with 0.9, or 0.6 after temperature scaling."""
    said = np.array([label, answer], dtype=np.int32)
    sure = np.full(len(label), 0.9, dtype=np.float32)
    return Answers(*said, sure, sure, np.full_like(sure, 0.6) if is_scaled else None)


def run_with(folder: Path, answers: Answers, names: list[str], **best: Any) -> RunStore:
    """Return a run whose best network gave these answers to images of 64 pixels."""
    store = make_run(folder, plan={"classes": names}, outcomes=[outcome(1, **best)])
    write_answers(store, BEST, {"test": answers})
    images = build_images(len(answers.label), 64, 3, len(names), seed=0)
    write_mistakes(store, BEST, answers, images)
    return store


def snapshot(store: RunStore) -> RunSnapshot:
    return take_snapshot(store, Path("none"))


def test_classes_come_with_intervals_the_worst_first_and_confusions_are_counted(
    tmp_path: Path,
) -> None:
    answers = answers_of([0] * 8 + [1] * 4, [0] * 8 + [0, 0, 0, 1])
    store = run_with(tmp_path, answers, ["cat", "dog", "unseen"])
    classes, confused = by_class(snapshot(store)), confusion(snapshot(store))
    assert classes is not None
    assert confused is not None
    rows = [[cell.text for cell in row] for row in classes.tables[0].rows]
    matrix = [[cell.text for cell in row] for row in confused.tables[0].rows]

    assert rows[0] == ["dog", "4", "1", "25.00 %", "4.56 %", "69.94 %"]
    assert rows[2] == ["unseen", "0", "0", "-", "-", "-"]
    assert "Of dog 1 of 4 are right, 25.00 %" in classes.lead
    assert matrix == [["cat", "8", "", ""], ["dog", "3", "1", ""], ["unseen", "", "", ""]]
    assert confused.tables[0].rows[1][1].hint == "dog as cat: 3"
    assert confused.tables[0].rows[0][1].look == "t5 right"


def test_the_most_confident_mistakes_are_pictures_that_say_what_they_are(tmp_path: Path) -> None:
    answers = answers_of([0] * 40, [0] * 10 + [1] * 30)
    section = mistakes(snapshot(run_with(tmp_path, answers, ["cat", "dog"])))
    assert section is not None

    assert len(section.pictures) == MOST_MISTAKES
    assert "Of 30 wrong answers" in section.lead
    picture = section.pictures[0]
    assert picture.alt == "Test image 10, labelled cat, taken for dog."
    assert picture.lines == ("taken for dog", "90.00 % sure", "labelled cat")
    kind, content = picture.image.split(",")
    assert kind == "data:image/jpeg;base64"
    assert base64.b64decode(content).startswith(b"\xff\xd8")


@pytest.mark.parametrize("is_scaled", [True, False])
def test_confidences_are_drawn_with_their_error_also_after_scaling(
    tmp_path: Path, is_scaled: bool
) -> None:
    answers = answers_of([0] * 10, [0] * 6 + [1] * 4, is_scaled=is_scaled)
    temperature = 2.5 if is_scaled else None
    store = run_with(tmp_path, answers, ["cat", "dog"], temperature=temperature)
    section = calibration(snapshot(store))
    assert section is not None

    more = ", 0.0 % with logits divided by 2.500, as exports do" if is_scaled else ""
    assert calibration_lines(store, store.rows("outcomes")) == [
        f"confidences: expected calibration error 30.0 % on the test{more}"
    ]
    assert "is 30.00 % on the test images" in section.lead
    assert ("0.00 % where logits are divided by the temperature 2.500" in section.lead) == is_scaled
    assert len(section.figures) == 1 + is_scaled
    assert "60.00 % right at 90.00 %" in section.figures[0].alt


def test_a_run_without_answers_has_none_of_these_sections_and_one_without_mistakes_says_so(
    tmp_path: Path,
) -> None:
    older = make_run(tmp_path / "older", outcomes=[outcome(1)])
    faultless = run_with(tmp_path / "right", answers_of([0, 1], [0, 1]), ["cat", "dog"])
    section = mistakes(snapshot(faultless))
    assert section is not None

    for section_of in (by_class, confusion, mistakes, calibration):
        assert section_of(snapshot(older)) is None
    assert "made no mistake" in section.lead
    assert section.pictures == []


def test_a_page_of_a_thousand_classes_is_small_and_names_stay_text(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 1000, 5000).tolist()
    answer = np.where(rng.random(5000) < 0.6, label, (np.array(label) + 1) % 1000).tolist()
    names = [f"{HOSTILE} {number}" for number in range(1000)]
    store = run_with(tmp_path, answers_of(label, answer), names)
    page = make_page(store, Path("none"))

    assert len(page.encode()) < 400_000
    assert page.count("<script") == 1
    assert "800 further classes" in page
    assert len(re.findall(r'<img src="data:image/jpeg', page)) == MOST_MISTAKES
    assert all(len(alt) < 200 for alt in re.findall(r'alt="(Test image [^"]*)"', page))
    assert re.search(r'aria-sort="descending"[^>]*>\s*<button type="button">Images', page)
