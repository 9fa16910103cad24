"""Rows of the tables: what the contract promises, and nothing that does not exist."""

import json
import math
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raynas.nets.isometry import Isometry
from raynas.recording import rows as table_rows
from raynas.search.indicators import Indicators
from raynas.settings.settings import Settings, differences
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.run_store import RunStore
from tests.builders import ROOT, build_costs, build_evolution, build_space, run_to_end
from tests.data.samples import tiny_space

NAN = math.nan


class TestRunRow:
    def test_the_row_of_a_run_fits_the_table_and_is_not_finished(self, tmp_path: Path) -> None:
        settings = Settings(seed=7, max_macs=10**6)
        row = table_rows.run_row("my run", settings, PlanFacts(shards=2))
        store = RunStore.create(str(tmp_path))
        store.append("runs", [row], part="run")
        (read,) = store.rows("runs")

        assert read["finished"] is None
        assert (read["run"], read["seed"], read["method"]) == ("my run", 7, settings.method)
        assert datetime.now(UTC) - read["started"] < timedelta(minutes=1)
        assert PlanFacts.from_json(read["plan"]) == PlanFacts(shards=2)
        assert differences(read["settings"], settings) == []

    def test_versions_of_what_computes_the_result_are_recorded(self) -> None:
        versions = json.loads(table_rows.run_row("run", Settings(), PlanFacts())["versions"])

        assert {"python", "raynas", "torch", "ray", "numpy", "pyarrow"} <= versions.keys()
        assert all(version[0].isdigit() for version in versions.values())

    def test_the_commit_is_that_of_the_source_tree_or_none(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        command = ("git", "-C", str(ROOT), "rev-parse", "HEAD")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wanted = done.stdout.strip() if done.returncode == 0 else None

        assert table_rows.git_commit() == wanted
        monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
        assert table_rows.git_commit(tmp_path / "raynas" / "recording" / "rows.py") is None

    @pytest.mark.parametrize(
        ("place", "is_ours"),
        [
            ("raynas/recording/rows.py", True),
            ("env/raynas/recording/rows.py", False),  # installed somewhere below
            ("ignored/raynas/recording/rows.py", False),
        ],
    )
    def test_a_repository_that_raynas_merely_lies_in_is_not_its_own(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str, is_ours: bool
    ) -> None:
        file = tmp_path / place
        file.parent.mkdir(parents=True)
        file.touch()
        (tmp_path / ".gitignore").write_text("ignored")
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        for words in (("init", "-q"), ("add", "."), (*identity, "commit", "-qm", "theirs")):
            subprocess.run(("git", "-C", tmp_path, *words), check=True)
        ours = table_rows.git_commit()
        monkeypatch.setenv("GIT_DIR", str(tmp_path / ".git"))  # as a hook of it has it

        assert bool(table_rows.git_commit(file)) == is_ours
        assert table_rows.git_commit() == ours


class TestPretrainingRows:
    def test_the_ledger_names_every_candidate_and_its_updates(self) -> None:
        updates = np.arange(12).reshape(3, 4)
        rows = table_rows.ledger_rows(tiny_space(), updates)

        assert [(row["layer"], row["candidate"], row["updates"]) for row in rows] == [
            (layer, choice, updates[layer, choice])
            for layer, size in enumerate((3, 4, 4))
            for choice in range(size)
        ]
        assert [row["operation"] for row in rows[3:7]] == ["k3e1", "k5e1", "k3e2", "identity"]

    def test_indicators_that_do_not_exist_have_no_row(self) -> None:
        indicators = Indicators(
            (np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0, NAN])),
            np.array([NAN, 0.5]),
            (np.array([0.1, NAN, 0.3]), np.array([0.4, 0.5, 0.6, 0.7])),
            (np.array([NAN, NAN, 8.0]), np.array([NAN, 9.0, NAN, NAN])),
            (np.array([NAN, 2.0, NAN]), np.full(4, NAN)),
        )
        rows = table_rows.indicator_rows(build_space("RN", identity=True), indicators, step=9)

        found = [(row["kind"], row["layer"], row["candidate"], row["value"]) for row in rows]
        assert found == [
            *(("block", 0, i, i + 1.0) for i in range(3)),
            *(("block", 1, i, i + 4.0) for i in range(3)),
            ("taylor", 0, 0, 0.1),
            ("taylor", 0, 2, 0.3),
            *(("taylor", 1, i, (4 + i) / 10) for i in range(4)),
            ("saliency", 0, 2, 8.0),
            ("saliency", 1, 1, 9.0),
            ("relu_inputs", 0, 1, 2.0),
            ("layer", 1, None, 0.5),
        ]
        assert {row["step"] for row in rows} == {9}
        assert {row["operation"] for row in rows if row["kind"] == "layer"} == {"identity"}

    def test_isometry_rows_name_the_operation_that_was_measured(self) -> None:
        measured = [(1, 2, Isometry(1.0, 0.5, 2.0, 0.25))]
        rows = table_rows.isometry_rows(tiny_space(), measured, "shift", batch_norm=False)

        assert rows == [
            {
                "layer": 1,
                "candidate": 2,
                "operation": "k3e2",
                "phi": 1.0,
                "varphi": 0.5,
                "largest_singular_value": 2.0,
                "output_variance": 0.25,
                "initialisation": "shift",
                "batch_norm": False,
            }
        ]


def test_architecture_rows_fit_the_table_and_read_back_what_was_scored(tmp_path: Path) -> None:
    costs = build_costs((4,) * 5)
    evolution = build_evolution(costs)
    run_to_end(evolution)
    rows = table_rows.architecture_rows(evolution.history, costs)
    store = RunStore.create(str(tmp_path))
    store.append("architectures", rows, part="all")

    assert store.rows("architectures") == rows
    assert {row["origin"] for row in rows} == {"random", "mutation", "crossover"}
    assert {len(row["parents"].split()) for row in rows if row["origin"] == "crossover"} == {2}
    assert {row["parents"] for row in rows if row["origin"] == "random"} == {""}


class TestRanks:
    def outcome(self, status: str, accuracy: float | None, score: float = 0.0) -> dict[str, Any]:
        """Return what matters of an outcome."""
        name = f"{status} {accuracy} {score}"
        return {"architecture": name, "status": status, "val_accuracy": accuracy, "score": score}

    def test_finished_trials_come_first_then_stopped_ones_then_failed_ones(self) -> None:
        rows = [
            self.outcome("failed", None),
            self.outcome("stopped", 0.9),
            self.outcome("finished", 0.5),
            self.outcome("finished", 0.7),
            self.outcome("failed", 0.8),
        ]
        ranked = table_rows.ranked_outcomes(rows)

        assert [(row["status"], row["val_accuracy"]) for row in ranked] == [
            ("finished", 0.7),
            ("finished", 0.5),
            ("stopped", 0.9),
            ("failed", 0.8),
            ("failed", None),
        ]
        assert [row["rank"] for row in ranked] == [1, 2, 3, 4, 5]

    def test_equal_accuracies_are_ranked_by_score(self) -> None:
        rows = [self.outcome("finished", 0.5, score) for score in (1.0, 3.0, 2.0)]

        assert [row["score"] for row in table_rows.ranked_outcomes(rows)] == [3.0, 2.0, 1.0]

    @given(
        st.lists(st.tuples(st.none() | st.floats(0, 1), st.floats(-9, 9)), max_size=5, unique=True),
        st.sets(st.integers(0, 4)),
        st.sampled_from(["finished", "failed"]),
    )
    def test_a_network_that_was_trained_on_all_images_too_keeps_its_rank_and_ranks_no_other(
        self, networks: list[tuple[float | None, float]], again: set[int], status: str
    ) -> None:
        rows = [self.outcome("finished", *network) for network in networks]
        finals = [
            rows[at] | {"status": status, "val_accuracy": None, "trained_on": "all"}
            for at in sorted(again)
            if at < len(rows)
        ]
        alone = table_rows.ranked_outcomes(rows)
        ranked = table_rows.ranked_outcomes([*finals, *rows])
        ranks = {row["architecture"]: row["rank"] for row in alone}

        assert [row for row in ranked if "trained_on" not in row] == alone
        assert all(row["rank"] == ranks[row["architecture"]] for row in ranked)
        for row in finals:  # what is recommended stands before what it was chosen by
            both = [each for each in ranked if each["architecture"] == row["architecture"]]
            assert ("trained_on" in both[0]) == (status == "finished")

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["finished", "stopped", "failed"]),
                st.none() | st.floats(0, 1),
                st.floats(-10, 10),
            ),
            max_size=8,
            unique=True,
        ),
        st.randoms(use_true_random=False),
    )
    def test_ranks_do_not_depend_on_the_order_in_which_trials_ended(
        self, outcomes: list[tuple[str, float | None, float]], random: Any
    ) -> None:
        rows = [self.outcome(*outcome) for outcome in outcomes]
        shuffled = random.sample(rows, len(rows))
        keys = [
            (row["status"], row["val_accuracy"] or 0.0, row["score"])
            for row in table_rows.ranked_outcomes(rows)
        ]

        assert keys == [
            (row["status"], row["val_accuracy"] or 0.0, row["score"])
            for row in table_rows.ranked_outcomes(shuffled)
        ]
