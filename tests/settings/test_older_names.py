"""Settings by names that are gone: records, files and flags are read as they were meant."""

import json
from pathlib import Path

import pytest

from raynas.settings.deciding import flat
from raynas.settings.images import ImageSettings
from raynas.settings.methods import load_method
from raynas.settings.older_names import named_before, words_of_today
from raynas.settings.settings import Settings, differences
from raynas.terminal.cli import with_flags

MEANT = {
    "auto": ImageSettings(),
    "none": ImageSettings(crop="centre", mirror="no"),
    "crop": ImageSettings(crop="shift", mirror="no"),
    "crop_flip": ImageSettings(crop="shift", mirror="yes"),
}


@pytest.mark.parametrize("old", MEANT)
class TestAugment:
    def test_a_record_is_read_as_it_was_meant(self, old: str) -> None:
        tree = json.loads(Settings().to_json())
        for name in ("crop", "mirror"):
            tree["images"].pop(name)
        tree["images"]["augment"] = old
        record = json.dumps(tree)

        assert Settings.from_json(record).images == MEANT[old]
        assert differences(record, Settings(images=MEANT[old])) == []
        assert differences(record, Settings(images=ImageSettings(crop="random_resized"))) != []

    def test_a_file_of_a_method_is(self, tmp_path: Path, old: str) -> None:
        (tmp_path / "mine.toml").write_text(f'[images]\naugment = "{old}"\n')

        assert load_method("mine", tmp_path).images == MEANT[old]

    @pytest.mark.parametrize("form", ["--images.augment {}", "--images.augment={}"])
    def test_a_flag_is(self, old: str, form: str) -> None:
        words = ["--seed", "3", *form.format(old).split(), "--check", "2", "--check-epochs=5"]
        found = with_flags(Settings(), words_of_today(words), None)

        assert (found.images, found.seed) == (MEANT[old], 3)
        assert (found.trainings, found.training_epochs) == (2, 5)

    def test_a_run_keeps_its_unnamed_folder(self, old: str) -> None:
        named = flat(json.loads(Settings(images=MEANT[old]).to_json()))
        before = named_before(named)

        assert before["images.augment"] == old
        assert not {"images.crop", "images.mirror"} & set(before)


def test_a_value_that_never_was_stays_for_the_command_line_to_refuse() -> None:
    words = ["--images.augment", "sideways"]

    assert words_of_today(words) == ["--images.augment=sideways"]
    assert words_of_today(["--images.augment"]) == ["--images.augment"]


def test_what_no_older_name_says_is_named_as_today() -> None:
    named = flat(json.loads(Settings(images=ImageSettings(mirror="no")).to_json()))
    before = named_before(named)

    assert before.pop("check") == named.pop("trainings")
    assert before.pop("check-epochs") == named.pop("training-epochs")
    assert before == named


def test_a_check_of_an_older_record_or_file_is_so_many_trainings(tmp_path: Path) -> None:
    tree = json.loads(Settings(trainings=0).to_json())
    tree |= {"check": tree.pop("trainings"), "check_epochs": tree.pop("training_epochs")}
    (tmp_path / "mine.toml").write_text("check = 4\ncheck-epochs = 2\n")
    read = load_method("mine", tmp_path)

    assert differences(json.dumps(tree), Settings(trainings=0)) == []
    assert (read.trainings, read.training_epochs) == (4, 2)
