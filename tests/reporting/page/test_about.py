"""What the page says a run was made of."""

from pathlib import Path

from raynas.reporting.page.about import about
from raynas.reporting.page.content import sections
from raynas.reporting.page.run_snapshot import take_snapshot
from raynas.settings.pretrain import PretrainSettings
from raynas.settings.search import SearchSettings
from raynas.settings.settings import Settings
from tests.reporting.page.runs import make_run


def told(folder: Path, settings: Settings, **plan: int) -> str | None:
    """Return what the page says that learned."""
    snapshot = take_snapshot(make_run(folder, settings=settings, plan=plan), folder)
    return dict(about(snapshot)).get("What learns in the supernet")


def test_it_says_what_learns_and_how_many_numbers_that_is(tmp_path: Path) -> None:
    words = told(tmp_path, Settings(), trained_numbers=1_993_032)

    assert words == "all batch norms + classifier, 1,993,032 numbers"


def test_an_older_run_has_no_number_and_one_without_a_supernet_nothing(tmp_path: Path) -> None:
    frozen = Settings(pretrain=PretrainSettings(classifier_rate=0.0))
    without = Settings(pretrain=PretrainSettings(epochs=0.0), search=SearchSettings(score="random"))

    assert told(tmp_path / "older", frozen) == "all batch norms"
    assert told(tmp_path / "random", without) is None


def test_there_is_no_section_of_indicators_where_no_batch_norm_learns(tmp_path: Path) -> None:
    weights = Settings(
        pretrain=PretrainSettings(trainable="weights"), search=SearchSettings(score="accuracy")
    )
    names = [
        [part.name for part in sections(take_snapshot(make_run(folder, settings=each), folder))]
        for folder, each in ((tmp_path / "a", weights), (tmp_path / "b", Settings()))
    ]

    assert ["indicators" in each for each in names] == [False, True]
