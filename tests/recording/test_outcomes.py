"""The tables of the search and of the retraining, also when both stop half-way."""

import json
import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raynas.recording import outcomes
from raynas.recording.outcomes import SEARCH_STATE, Outcomes, SearchLog, TrialEnd
from raynas.search.evolution import Evolution
from raynas.spaces.architecture import Architecture
from raynas.storage.compaction import FILE
from raynas.storage.run_store import RunStore
from tests.builders import (
    build_costs,
    build_evolution,
    shipped_cells,
    shipped_costs,
    sum_of_choices,
)

COSTS = build_costs((4,) * 5)


class Bar:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.shown: list[tuple[int, str]] = []

    def __call__(self, done: int, text: str = "") -> None:
        """Remember how far the stage is."""
        self.shown.append((done, text))


def generation(evolution: Evolution) -> None:
    """Score a generation."""
    asked = evolution.ask()
    evolution.tell(asked, sum_of_choices(asked))


def searched(seed: int = 0) -> Evolution:
    """Return an evolution that has finished."""
    evolution = build_evolution(COSTS, seed=seed)
    while not evolution.finished:
        generation(evolution)
    return evolution


class TestSearchLog:
    def test_every_scored_architecture_becomes_one_row_with_its_costs(self, tmp_path: Path) -> None:
        store, evolution = RunStore.create(str(tmp_path)), build_evolution(COSTS)
        search_log = SearchLog(store, COSTS, Bar())
        while not evolution.finished:
            generation(evolution)
            search_log(evolution)
        rows = store.rows("architectures")

        assert [row["order"] for row in rows] == list(range(len(evolution.history)))
        for row, scored in zip(rows, evolution.history, strict=True):
            architecture = Architecture.parse(row["architecture"])
            assert architecture == scored.child.architecture
            assert (row["score"], row["generation"]) == (scored.score, scored.generation)
            assert (row["macs"], row["params"]) == (
                COSTS.of(architecture).macs,
                COSTS.of(architecture).params,
            )
            assert row["parents"].split() == [str(parent) for parent in scored.child.parents]

    @given(st.integers(0, 1000), st.data())
    def test_in_a_steady_state_every_row_is_written_once_whenever_it_is_told(
        self, seed: int, data: st.DataObject
    ) -> None:
        """Also across windows, with failures, and by a log that begins half-way."""
        with TemporaryDirectory() as folder:
            store = RunStore.create(folder)
            evolution = build_evolution(COSTS, seed=seed, breeding="steady_state")
            search_log = SearchLog(store, COSTS, Bar())
            while not evolution.finished:
                asked = evolution.ask(data.draw(st.integers(1, 20)))
                failing = data.draw(st.booleans())
                scores = [math.nan] * len(asked) if failing else sum_of_choices(asked)
                evolution.tell(asked, scores)
                if data.draw(st.booleans()) or evolution.finished:
                    search_log(evolution)
                if data.draw(st.booleans()) and store.has(SEARCH_STATE):
                    evolution = build_evolution(COSTS, seed=seed, breeding="steady_state")
                    evolution.restore(json.loads(store.read_bytes(SEARCH_STATE)))
                    search_log = SearchLog(store, COSTS, Bar())
            search_log(evolution)
            rows = store.rows("architectures")

        assert [(row["order"], row["generation"], row["architecture"]) for row in rows] == [
            (scored.child.order, scored.generation, str(scored.child.architecture))
            for scored in evolution.history
        ]

    def test_the_bar_shows_generations_and_the_best_score_so_far(self, tmp_path: Path) -> None:
        evolution, bar = build_evolution(COSTS), Bar()
        search_log = SearchLog(RunStore.create(str(tmp_path)), COSTS, bar)
        best = []
        for _ in range(4):
            generation(evolution)
            search_log(evolution)
            best.append(f"best score {evolution.ranked()[0].score:.3f}")

        assert bar.shown == list(zip([1, 2, 3, 4], best, strict=True))

    @pytest.mark.parametrize("stop", [1, 2, 3])
    @pytest.mark.parametrize("is_state_lost", [False, True])
    def test_a_search_that_stops_between_generations_ends_like_one_that_did_not(
        self, tmp_path: Path, stop: int, is_state_lost: bool
    ) -> None:
        whole = searched()
        store = RunStore.create(str(tmp_path))
        search_log, evolution = SearchLog(store, COSTS, Bar()), build_evolution(COSTS)
        state = b""
        for _ in range(stop):
            state = store.read_bytes(SEARCH_STATE) if store.has(SEARCH_STATE) else b""
            generation(evolution)
            search_log(evolution)
        if is_state_lost:  # killed after the table was written and before the state was
            store.write_bytes(SEARCH_STATE, state)
        content = store.read_bytes(SEARCH_STATE)
        again, search_log = build_evolution(COSTS), SearchLog(store, COSTS, Bar())
        if content:
            again.restore(json.loads(content))
        while not again.finished:
            generation(again)
            search_log(again)

        assert [row["architecture"] for row in store.rows("architectures")] == [
            str(scored.child.architecture) for scored in whole.history
        ]

    def test_the_state_is_written_at_first_and_at_last_and_in_between_now_and_then(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The state is as long as the history: after each generation, it would grow as a square."""
        store, evolution, clock = RunStore.create(str(tmp_path)), build_evolution(COSTS), [0.0]
        monkeypatch.setattr(outcomes.time, "monotonic", lambda: clock[0])
        search_log, saved = SearchLog(store, COSTS, Bar()), []
        while not evolution.finished:
            clock[0] += 0.6
            generation(evolution)
            search_log(evolution)
            saved.append(json.loads(store.read_bytes(SEARCH_STATE))["generation"])

        assert saved == [1, 1, 3, 4]

    def test_a_generation_is_written_once_unless_it_grows(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        written, append = list[str](), RunStore.append

        def recording(store: RunStore, table: str, rows: Any, part: str) -> None:
            written.append(part)
            append(store, table, rows, part)

        monkeypatch.setattr(RunStore, "append", recording)
        evolution = build_evolution(COSTS)
        search_log = SearchLog(RunStore.create(str(tmp_path)), COSTS, Bar())
        while not evolution.finished:
            generation(evolution)
            search_log(evolution)

        assert written == [f"{number:06d}" for number in range(4)]

    def test_what_a_crash_has_undone_and_turns_out_otherwise_leaves_no_row(
        self, tmp_path: Path
    ) -> None:
        store, evolution = RunStore.create(str(tmp_path)), build_evolution(COSTS)
        search_log = SearchLog(store, COSTS, Bar())
        for _ in range(3):  # of which the state of the first alone is written
            generation(evolution)
            search_log(evolution)
        assert len(store.parts("architectures")) == 3

        again, search_log = build_evolution(COSTS), SearchLog(store, COSTS, Bar())
        again.restore(json.loads(store.read_bytes(SEARCH_STATE)))
        assert again.generation == 1
        while not again.finished:
            asked = again.ask()
            again.tell(asked, [math.nan] * len(asked))
        search_log(again)

        assert len(store.rows("architectures")) == len(again.history) > 0

    def test_a_finished_search_lies_in_one_file(self, tmp_path: Path) -> None:
        store, evolution = RunStore.create(str(tmp_path)), build_evolution(COSTS)
        search_log = SearchLog(store, COSTS, Bar())
        while not evolution.finished:
            generation(evolution)
            search_log(evolution)

        assert store.list_files("tables/architectures") == [FILE]


def finished(architecture: Architecture, accuracy: float) -> TrialEnd:
    """Return a trial that ended well."""
    text = str(architecture)
    return TrialEnd(
        text, 3, accuracy, accuracy - 0.1, "finished", checkpoint=f"models/{text}.safetensors"
    )


def score_of(architecture: Architecture) -> float:
    """Return the score for which an architecture was chosen."""
    return sum_of_choices([architecture])[0]


class TestOutcomes:
    @pytest.fixture
    def evolution(self) -> Evolution:
        """Return an evolution that has finished."""
        return searched()

    def open(self, tmp_path: Path) -> Outcomes:
        """Open the outcomes of a run folder."""
        return Outcomes(RunStore.create(str(tmp_path)), COSTS)

    def rows(self, tmp_path: Path) -> list[dict[str, Any]]:
        """Return the table."""
        return RunStore(str(tmp_path)).rows("outcomes")

    def test_outcomes_are_ranked_by_validation_accuracy_whenever_a_trial_ends(
        self, tmp_path: Path, evolution: Evolution
    ) -> None:
        outcomes = self.open(tmp_path)
        winners = [scored.child.architecture for scored in evolution.ranked()[:3]]
        for architecture, accuracy in zip(winners, (0.5, 0.7, 0.6), strict=True):
            outcomes.add(finished(architecture, accuracy), score_of)
        rows = self.rows(tmp_path)

        assert [row["rank"] for row in rows] == [1, 2, 3]
        assert [row["val_accuracy"] for row in rows] == [0.7, 0.6, 0.5]
        assert rows[0]["architecture"] == str(winners[1])
        assert rows[0]["score"] == evolution.ranked()[1].score
        assert rows[0]["macs"] == COSTS.of(winners[1]).macs
        assert rows[0]["params"] == COSTS.of(winners[1]).params
        assert rows[0]["test_accuracy"] == pytest.approx(0.6)
        assert rows[0]["checkpoint"] == f"models/{winners[1]}.safetensors"

    def test_outcomes_of_an_earlier_run_are_kept(
        self, tmp_path: Path, evolution: Evolution
    ) -> None:
        first, second = (scored.child.architecture for scored in evolution.ranked()[:2])
        self.open(tmp_path).add(finished(first, 0.5), score_of)
        self.open(tmp_path).add(finished(second, 0.6), score_of)

        assert [row["architecture"] for row in self.rows(tmp_path)] == [str(second), str(first)]

    def test_failed_trials_are_tried_again_and_others_are_settled(
        self, tmp_path: Path, evolution: Evolution
    ) -> None:
        good, weak, bad = (scored.child.architecture for scored in evolution.ranked()[:3])
        outcomes = self.open(tmp_path)
        outcomes.add(finished(good, 0.5), score_of)
        outcomes.add(TrialEnd(str(weak), 1, 0.2, None, "stopped"), score_of)
        outcomes.add(TrialEnd(str(bad), 0, None, None, "failed", "ValueError: no"), score_of)

        store = RunStore(str(tmp_path))
        store.write_bytes(f"models/{good}.safetensors", b"weights")
        assert set(outcomes.settled()) == {good, weak}
        assert set(self.open(tmp_path).settled()) == {good, weak}
        store.delete(f"models/{good}.safetensors")
        assert set(outcomes.settled()) == {weak}  # its weights are lost

    def test_a_training_on_all_images_has_a_row_of_its_own_and_settles_no_other_training(
        self, tmp_path: Path, evolution: Evolution
    ) -> None:
        good, weak, cut = (scored.child.architecture for scored in evolution.ranked()[:3])
        outcomes, store = self.open(tmp_path), RunStore(str(tmp_path))
        for architecture, accuracy in ((weak, 0.4), (good, 0.5)):
            outcomes.add(finished(architecture, accuracy), score_of)
            store.write_bytes(f"models/{architecture}.safetensors", b"weights")
        outcomes.add(TrialEnd(str(cut), 1, 0.9, None, "stopped"), score_of)

        assert list(outcomes.best(1).items()) == [(good, score_of(good))]
        assert list(outcomes.best(9)) == [good, weak]  # what was stopped says nothing
        assert outcomes.settled("all") == []
        path = f"models/{good}-all.safetensors"
        final = TrialEnd(
            str(good), 2, None, 0.6, "finished", checkpoint=path, test_images=9, trained_on="all"
        )
        outcomes.add(final, score_of)
        store.write_bytes(path, b"weights")

        again = self.open(tmp_path)
        assert again.settled("all") == [good]
        assert set(again.settled()) == {good, weak, cut}
        assert list(again.best(9)) == [good, weak]
        assert [(row["architecture"], row["trained_on"]) for row in self.rows(tmp_path)] == [
            *((str(good), "all"), (str(good), "train")),
            *((str(weak), "train"), (str(cut), "train")),
        ]

    def test_outcomes_of_a_raynas_without_such_trainings_are_trainings_on_the_training_part(
        self, tmp_path: Path, evolution: Evolution
    ) -> None:
        architecture = evolution.ranked()[0].child.architecture
        self.open(tmp_path).add(finished(architecture, 0.5), score_of)
        store = RunStore(str(tmp_path))
        store.write_bytes(f"models/{architecture}.safetensors", b"weights")
        (row,) = self.rows(tmp_path)
        store.append("outcomes", [row | {"trained_on": None}], "outcomes")

        assert self.open(tmp_path).settled() == [architecture]
        assert self.open(tmp_path).settled("all") == []
        assert list(self.open(tmp_path).best(1)) == [architecture]

    def test_a_failed_trial_that_succeeds_later_has_one_row(
        self, tmp_path: Path, evolution: Evolution
    ) -> None:
        architecture = evolution.ranked()[0].child.architecture
        bad = TrialEnd(str(architecture), 0, None, None, "failed", "ValueError: no")
        self.open(tmp_path).add(bad, score_of)
        self.open(tmp_path).add(finished(architecture, 0.5), score_of)
        (row,) = self.rows(tmp_path)

        assert (row["status"], row["error"], row["val_accuracy"]) == ("finished", None, 0.5)

    def test_it_is_told_which_outcomes_nothing_dominates_in_accuracy_and_the_run_s_costs(
        self, tmp_path: Path
    ) -> None:
        ordered = sorted(searched().ranked(), key=lambda s: COSTS.of(s.child.architecture).macs)
        cheap, middle, dear, last = (scored.child.architecture for scored in ordered[:4])
        outcomes = Outcomes(RunStore.create(str(tmp_path)), COSTS, ("macs",))
        for architecture, accuracy in ((cheap, 0.5), (middle, 0.4), (dear, 0.7)):
            outcomes.add(finished(architecture, accuracy), score_of)
        outcomes.add(TrialEnd(str(last), 1, 0.9, None, "stopped"), score_of)

        outcomes.add(TrialEnd(str(middle), 2, None, 0.99, "finished", trained_on="all"), score_of)

        *_, middle_again = [row for row in self.rows(tmp_path) if row["trained_on"] == "all"]
        assert middle_again["on_front"] is None  # no accuracy tells
        rows = [row for row in self.rows(tmp_path) if row["trained_on"] == "train"]
        found = {row["architecture"]: row["on_front"] for row in rows}
        assert found == {str(cheap): True, str(middle): False, str(dear): True, str(last): None}

    def test_networks_of_cells_have_their_genotype_beside_the_architecture(
        self, tmp_path: Path
    ) -> None:
        space, costs = shipped_cells(), shipped_costs("darts_cells_small")
        outcomes = Outcomes(RunStore.create(str(tmp_path)), costs, space=space)
        architecture = Architecture((0, 1, 2, 3, 4, 5, 6, 7))
        outcomes.add(finished(architecture, 0.5), lambda _: 1.0)
        (row,) = self.rows(tmp_path)

        assert space.parse(row["genotype"]) == architecture
        assert row["macs"] == costs.of(architecture).macs

    def test_layers_have_no_genotype(self, tmp_path: Path, evolution: Evolution) -> None:
        self.open(tmp_path).add(finished(evolution.ranked()[0].child.architecture, 0.5), score_of)

        assert [row["genotype"] for row in self.rows(tmp_path)] == [None]

    def test_without_costs_among_the_objectives_there_is_no_front(
        self, tmp_path: Path, evolution: Evolution
    ) -> None:
        self.open(tmp_path).add(finished(evolution.ranked()[0].child.architecture, 0.5), score_of)

        assert [row["on_front"] for row in self.rows(tmp_path)] == [None]
