"""What an earlier run gives to a new one: part by part, as far as the settings agree."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch

from raynas.costs.costs import Cost, CostTable
from raynas.errors import UserError
from raynas.recording.outcomes import known_scores
from raynas.recording.pretraining_log import CHECKPOINT
from raynas.recording.warm_start import SCORE, Earlier, latency_table_of
from raynas.settings.search import SearchSettings
from raynas.settings.settings import Settings
from raynas.spaces.architecture import Architecture
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.run_store import RunStore
from raynas.training.scoring import Remembered, Scorer

COSTS = CostTable(((10, 20), (10, 20)), ((1, 2), (1, 2)), Cost(5, 5))
FACTS = PlanFacts(classes=["a", "b"], train=80, space_digest="a", start="s")
SINGLE = replace(Settings(trainings=2), search=SearchSettings(score="accuracy"))


def earlier_run(folder: Path, settings: Settings = SINGLE, params: int = 7) -> RunStore:
    """Return the folder of a run that has ended."""
    store = RunStore.create(str(folder))
    plan = replace(FACTS, shards=3, workers_per_trial=2).to_json()
    row = {"run": "first", "settings": settings.to_json(), "plan": plan}
    store.append("runs", [row], "run")
    store.append("ledger", [{"layer": 0, "updates": 3}], "final")
    store.append("architectures", [{"architecture": "0-0", "score": 0.5}], "000")
    store.append("trials", [{"architecture": "0-0", "epoch": 1}], "0-0")
    store.append("outcomes", [{"architecture": "0-0", "macs": 25, "params": params}], "outcomes")
    rows = [
        {"architecture": text, "status": status, "score": 0.1, "val_accuracy": 0.9}
        for text, status in (("0-1", "finished"), ("1-1", "failed"))
    ]
    store.append("checks", rows, "all")
    store.write_bytes(CHECKPOINT, safetensors.torch.save({}))
    return store


def look(store: RunStore, settings: Settings = SINGLE, **facts: int) -> Earlier:
    """Look at an earlier run from one with the same images and, unless named, the same plan."""
    numbers = {"shards": 3, "workers_per_trial": 2} | facts
    return Earlier(store, settings, COSTS, replace(FACTS, **numbers))


def test_of_the_same_settings_everything_is_taken_over(tmp_path: Path) -> None:
    store = earlier_run(tmp_path / "first")
    earlier = look(store)

    assert earlier.pretraining is earlier.training is store
    assert earlier.scores() == {"0-0": 0.5}
    assert list(earlier.checks()) == ["0-1"]
    taken = "pretraining; 1 scores; 1 checks; 1 trainings, where the same networks are chosen"
    assert earlier.lines() == [f"from      {store.uri}: {taken}"]


def test_a_run_that_made_choices_on_what_is_kept_for_the_test_now_is_refused(
    tmp_path: Path,
) -> None:
    with pytest.raises(UserError, match=r"--from .*: its val/ served for choices when it began"):
        look(earlier_run(tmp_path / "first"), keeps_val=True)


@pytest.mark.parametrize(
    ("settings", "lost", "reason"),
    [
        (replace(SINGLE, max_macs=30), set(), None),
        (
            replace(SINGLE, pretrain=replace(SINGLE.pretrain, initialisation="gaussian")),
            {"pretraining", "scores", "checks"},  # their naswot is that of initial weights
            "pretrain.initialisation: recorded 'qr', now 'gaussian'",
        ),
        (replace(SINGLE, retrain=replace(SINGLE.retrain, top_k=9)), set(), None),
        (
            replace(SINGLE, pretrain=replace(SINGLE.pretrain, epochs=3.0)),
            {"pretraining", "scores"},
            "pretrain.epochs: recorded 20.0, now 3.0",
        ),
        (
            replace(SINGLE, retrain=replace(SINGLE.retrain, epochs=3)),
            {"trainings"},
            "retrain.epochs: recorded 15, now 3",
        ),
        (
            replace(SINGLE, retrain=replace(SINGLE.retrain, batch=8)),
            {"trainings", "checks"},
            "retrain.batch: recorded 64, now 8",
        ),
        (
            replace(SINGLE, search=replace(SINGLE.search, score_images=9)),
            {"scores"},
            "search.score-images: recorded 2000, now 9",
        ),
        (replace(SINGLE, training_epochs=1), {"checks"}, "training-epochs: recorded 3, now 1"),
    ],
)
def test_what_other_settings_decide_is_made_anew_and_the_reason_is_said(
    tmp_path: Path, settings: Settings, lost: set[str], reason: str | None
) -> None:
    assert_all_but(look(earlier_run(tmp_path / "first"), settings), lost, reason)


@pytest.mark.parametrize(
    ("facts", "lost", "reason"),
    [
        ({"shards": 1}, {"pretraining", "scores"}, "shards: recorded 3, now 1"),
        (
            {"workers_per_trial": 1},
            {"checks", "trainings"},
            "workers per trial: recorded 2, now 1",
        ),
    ],
)
def test_what_the_plan_made_of_open_settings_is_compared_too(
    tmp_path: Path, facts: dict[str, int], lost: set[str], reason: str
) -> None:
    assert_all_but(look(earlier_run(tmp_path / "first"), **facts), lost, reason)


def assert_all_but(earlier: Earlier, lost: set[str], reason: str | None) -> None:
    """Assert that all but some parts are taken over, and that the reason is said."""
    found = {
        "pretraining": earlier.pretraining is not None,
        "scores": bool(earlier.scores()),
        "checks": bool(earlier.checks()),
        "trainings": earlier.training is not None,
    }

    assert {name for name, is_there in found.items() if not is_there} == lost
    said = earlier.lines()[1:]
    assert {line.removeprefix("anew      ").split(" (")[0] for line in said} == lost
    assert all(reason in line for line in said if reason)


def test_scores_that_are_sums_are_not_taken_over_for_they_cost_nothing(tmp_path: Path) -> None:
    settings = replace(SINGLE, search=SearchSettings())
    earlier = look(earlier_run(tmp_path / "first", settings), settings)

    assert earlier.scores() == {}
    assert not any("scores" in line.replace(str(tmp_path), "") for line in earlier.lines())


def test_errors_of_features_are_taken_over_whatever_supernets_are_told(tmp_path: Path) -> None:
    read = SearchSettings(score="feature_error")
    settings = replace(SINGLE, start="weights.pth", search=read)
    store = earlier_run(tmp_path / "first", settings)
    store.append("indicators", [{"layer": 0, "candidate": 0, "kind": "score"}], SCORE)
    other = replace(settings, max_macs=7, pretrain=replace(settings.pretrain, epochs=9.0))

    assert look(store, other).features is store
    assert "errors of features" in look(store, other).lines()[0]
    no_identity = replace(settings.pretrain, layer_indicator="none", sampling="fair")
    without = replace(settings, pretrain=no_identity)
    assert_features_anew(look(store, without), "pretrain.layer-indicator: recorded 'path', now")
    store.drop("indicators", lambda _: True)
    assert_features_anew(look(store, settings), "it has none that ended")


def test_a_score_of_a_supernet_is_not_taken_for_one_of_features(tmp_path: Path) -> None:
    settings = replace(SINGLE, start="weights.pth", search=SearchSettings())
    store = earlier_run(tmp_path / "first", settings)
    store.append("indicators", [{"layer": 0, "candidate": 0, "kind": "score"}], SCORE)
    reading = replace(settings, search=SearchSettings(score="feature_error"))

    assert look(store, settings).features is None
    assert_features_anew(look(store, reading), "search.score: recorded 'balanced_saliency', now")


def assert_features_anew(earlier: Earlier, reason: str) -> None:
    """Assert that errors of features are measured anew, and that the reason is said."""
    (line,) = [each for each in earlier.lines() if each.startswith("anew      errors of features")]

    assert earlier.features is None
    assert reason in line


def test_scores_that_failed_are_computed_again(tmp_path: Path) -> None:
    """A process that was lost leaves NaN behind, which says nothing of the architecture."""
    store = earlier_run(tmp_path / "first")
    rows = [{"architecture": "0-1", "score": math.nan}, {"architecture": "1-1", "score": None}]
    store.append("architectures", [*rows, {"architecture": "1-0", "score": 0.0}], "001")

    assert look(store).scores() == known_scores(store) == {"0-0": 0.5, "1-0": 0.0}


def test_a_pretraining_that_has_not_ended_is_none(tmp_path: Path) -> None:
    store = earlier_run(tmp_path / "first")
    store.drop("ledger", lambda _: True)

    assert look(store).pretraining is None
    assert "anew      pretraining (it has none that ended)" in look(store).lines()


@pytest.mark.parametrize(
    ("settings", "facts", "said"),
    [
        (replace(SINGLE, seed=1), FACTS, "seed: recorded 0, now 1"),
        (replace(SINGLE, space="other"), FACTS, "space: recorded 'small_mobile', now 'other'"),
        (replace(SINGLE, data="more"), FACTS, "data: recorded 'digits', now 'more'"),
        (SINGLE, replace(FACTS, train=81), "train: recorded 80, now 81"),
        (SINGLE, replace(FACTS, space_digest="b"), "space_digest: recorded 'a', now 'b'"),
        (SINGLE, replace(FACTS, start="t"), "start: recorded 's', now 't'"),
    ],
)
def test_another_space_other_images_and_another_seed_are_refused(
    tmp_path: Path, settings: Settings, facts: PlanFacts, said: str
) -> None:
    with pytest.raises(UserError, match="its space, images or seed were others") as refused:
        Earlier(earlier_run(tmp_path / "first"), settings, COSTS, facts)
    assert said in str(refused.value)


def test_a_space_file_that_has_changed_is_refused_by_the_costs_of_its_networks(
    tmp_path: Path,
) -> None:
    with pytest.raises(UserError, match=r"the space has changed since \(0-0 cost something else"):
        look(earlier_run(tmp_path / "first", params=8))


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="wanted the folder of an earlier run, found none"):
        look(RunStore(str(tmp_path / "nothing")))


def test_scores_that_are_known_build_nothing_and_others_build_once() -> None:
    built: list[str] = []

    def make() -> Scorer:
        built.append("supernet")
        return lambda architecture: float(sum(architecture))

    score = Remembered({"0-0": 0.5}, make)
    assert score(Architecture.parse("0-0")) == 0.5
    assert built == []
    assert [score(Architecture.parse(text)) for text in ("1-1", "0-1")] == [2.0, 1.0]
    assert built == ["supernet"]


def test_a_run_s_copy_of_its_table_of_latencies_is_found_again(tmp_path: Path) -> None:
    store = earlier_run(tmp_path / "first")
    assert latency_table_of(store.address) is None
    store.write_bytes("latency.parquet", b"a table")
    location = latency_table_of(store.address)

    assert location is not None
    assert Path(location).read_bytes() == b"a table"
    assert "table of latencies" in look(store, replace(SINGLE, latency_table=location)).lines()[0]
    assert "table of latencies" not in look(store).lines()[0]
