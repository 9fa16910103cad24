"""The script that ranks runs against true accuracies: tables, JSON, picture, refusals."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from analysis import ranking
from raynas.benchmark import yardsticks
from raynas.benchmark.comparison import Comparison, compare
from raynas.benchmark.ranking import measure
from raynas.benchmark.truths.reading import read_truths
from raynas.reporting import plot_style
from raynas.spaces.architecture import Architecture
from raynas.storage.run_store import RunStore
from tests.macro import build_run, build_table, build_truth, gate_rows, sampled, write_truth

TABLE = build_table()
KEYS = sampled(80)


@pytest.fixture
def truth(tmp_path: Path) -> str:
    """Return the path of a file of which the first run's indicators are the truth."""
    return write_truth(tmp_path, build_truth(KEYS, TABLE))


@pytest.fixture
def run(tmp_path: Path) -> RunStore:
    """Return a run that ranks without fault."""
    return build_run(tmp_path / "run-a", TABLE)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plot_style, "rendered", lambda *_: b"drawn")  # drawing takes time
    monkeypatch.setattr(yardsticks, "_DRAWS", 5)  # random scores, too


def comparison_of(stores: Sequence[RunStore], truth: str) -> Comparison:
    (found,) = compare(stores, [read_truths(truth)])
    return found


def lines_of(text: str, start: str) -> list[list[str]]:
    """Return the cells of every line that starts so, without the name."""
    return [
        re.split(r"\s{2,}", line.strip())[1:]
        for line in text.splitlines()
        if line.strip().startswith(start)
    ]


def test_it_prints_tables_and_the_path_of_the_picture(
    run: RunStore, truth: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ranking.main([run.uri, "--truth", truth]) == 0

    printed = capsys.readouterr().out
    assert printed.startswith("80 networks from 80 architectures; trainings of each: 1\n")
    assert printed.endswith(f"{run.locate('figures/ranking.png')}\n")
    titles = [
        "rank agreement",
        "tau within depth",
        "tau within MACs quarter",
        "first choice, true %",
    ]
    assert all(f"\n{title}" in printed for title in [*titles, "regret, points"])
    assert "biased" not in printed
    assert "left out" not in printed


def test_every_number_stands_in_its_column(
    run: RunStore, truth: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ranking.main([run.uri, "--truth", truth])

    printed = capsys.readouterr().out
    at_large, depths, quarters, _, regrets, of_three = lines_of(
        printed, "run-a: fair_taylor, taylor, seed 0"
    )
    assert at_large == ["1.000", *["1.00"] * 4, "0.00"]
    assert set(depths) == set(quarters) == {"1.00"}
    assert regrets == of_three == ["0.00"] * 4
    networks = comparison_of([run], truth).truth
    assert networks.macs is not None
    told = measure(networks.macs, networks)
    _, *parts = lines_of(printed, "MACs  ")
    for group, cells in zip(("depth", "macs"), parts, strict=False):
        wanted = [f"{v:.2f}" for k, v in told.items() if k.startswith(f"tau_{group}_")]
        assert cells == wanted
    truths = np.array([4 * TABLE[range(8), key].sum() + 50 for key in KEYS])
    macs = np.array([8 + 6 * sum(key) for key in KEYS])
    limits = [*np.quantile(macs, [0.25, 0.5, 0.75], method="higher"), 999]
    best = [f"{truths[macs <= limit].max():.2f}" for limit in limits]
    assert lines_of(printed, "true best") == [best]
    header = next(
        line for line in printed.splitlines() if "tau within MACs" in line and "1 (" in line
    )
    assert re.findall(r"n=(\d+)", header) == [str(count) for count in _quarter_counts(macs)]


def _quarter_counts(macs: np.ndarray) -> list[int]:
    a, b, c = np.quantile(macs, [0.25, 0.5, 0.75])
    parts = (macs <= a, (macs > a) & (macs <= b), (macs > b) & (macs <= c), macs > c)
    return [int(part.sum()) for part in parts]


def test_a_yardstick_without_a_tau_within_depth_has_a_dash(
    run: RunStore, truth: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ranking.main([run.uri, "--truth", truth])

    assert lines_of(capsys.readouterr().out, "depth  ")[0][3] == "-"


def test_random_scores_and_means_of_runs_have_intervals(
    run: RunStore, tmp_path: Path, truth: str, capsys: pytest.CaptureFixture[str]
) -> None:
    second = build_run(tmp_path / "run-b", build_table(1), seed=1)
    ranking.main([run.uri, second.uri, "--truth", truth])

    printed = capsys.readouterr().out
    interval = r"-?\d\.\d{3} \[-?\d\.\d\d, -?\d\.\d\d\]"
    for name in ("random positive scores", "fair_taylor, taylor: mean of 2 runs"):
        assert re.fullmatch(interval, lines_of(printed, name)[0][0])
    assert "[" not in "".join(lines_of(printed, "run-a")[0])


def test_it_says_that_visited_architectures_are_a_biased_sample(
    tmp_path: Path, truth: str, capsys: pytest.CaptureFixture[str]
) -> None:
    scored = {key: float(sum(key)) for key in KEYS[:30]}
    run = build_run(tmp_path / "run-a", score="naswot", scored=scored)
    assert ranking.main([run.uri, "--truth", truth]) == 0

    first, _, second, _, last = capsys.readouterr().out.splitlines()[:5]
    assert first.startswith("30 networks from 30 architectures")
    assert second == "left out: 50 architectures without a score in some run"
    assert last.startswith("biased sample: these are architectures that a search visited")
    assert "run-a: fair_taylor, naswot, seed 0" in last


def test_json_holds_every_row_and_null_where_there_is_no_number(
    run: RunStore, truth: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ranking.main([run.uri, "--truth", truth, "--json"]) == 0

    everything = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    (told,) = everything["truths"]
    assert (told["truth"], told["space"]) == (truth, "nas_bench_macro")
    assert (told["networks"], told["architectures"], told["left_out"]) == (80, 80, 0)
    assert told["trainings"] == 1
    assert everything["figure"] == run.locate("figures/ranking.png")
    assert told["notes"] == [
        "80 networks from 80 architectures; trainings of each: 1",
        "no noise ceiling: every network was trained once",
        "no yardstick, since not known of all networks: ReLU inputs",
    ]
    assert list(told["limits"].values())[-1] is None
    rows = {row["name"]: row for row in told["rows"]}
    trivial = ["depth", "MACs", "params", "log params + log MACs"]
    assert list(rows)[1:] == [*trivial, "random positive scores"]
    assert rows["depth"]["mean"]["tau_depth"] is None
    assert rows["depth"]["low"] is None
    assert (
        rows["random positive scores"]["low"]["tau"] < rows["random positive scores"]["high"]["tau"]
    )
    assert told["rows"][0]["mean"]["tau"] == pytest.approx(1.0)
    assert told["best"]["regret_any"] == 0.0
    assert sum(told["parts"]["macs"].values()) == 80


def test_a_chosen_formula_replaces_the_runs_own(
    tmp_path: Path, truth: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = build_run(tmp_path / "run-a", TABLE, score="bnnas")
    ranking.main([run.uri, "--truth", truth, "--score", "taylor"])

    assert lines_of(capsys.readouterr().out, "run-a: fair_taylor, taylor, seed 0")


def test_weights_of_the_path_bonus_stand_below_each_other(
    run: RunStore, truth: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run.append("indicators", gate_rows(), "gates")
    assert ranking.main([run.uri, "--truth", truth, "--path-bonus", "0,0.3,100"]) == 0

    printed = capsys.readouterr().out
    without, little, much = (
        float(lines_of(printed, f"run-a: fair_taylor, {score}, seed 0")[0][0])
        for score in ("taylor", "taylor + 0.3 path", "taylor + 100 path")
    )
    assert 1 == without > little > much  # the truth is the plain score


@pytest.mark.parametrize("weights", ["0,many", "0,-1", "nan", "inf", "", "1,,2"])
def test_what_is_no_weight_of_a_bonus_is_refused(
    weights: str, run: RunStore, truth: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ranking.main([run.uri, "--truth", truth, f"--path-bonus={weights}"]) == 2

    printed = capsys.readouterr()
    wanted = "wanted numbers of at least 0, such as 0,0.3,1\n"
    assert printed.err == f"error: --path-bonus {weights}: {wanted}"
    assert printed.out == ""


def test_a_panel_shows_true_accuracies_over_scores_coloured_by_depth(
    run: RunStore, truth: str
) -> None:
    comparison = comparison_of([run], truth)
    axes = ranking.draw([comparison]).axes[0]

    (points,) = axes.collections
    wanted = np.column_stack([comparison.scores[0], comparison.truth.accuracy])
    np.testing.assert_array_equal(np.asarray(points.get_offsets()), wanted)
    np.testing.assert_array_equal(points.get_array(), comparison.truth.depth)
    assert axes.get_title(loc="left") == (
        "run-a\nfair_taylor, taylor, seed 0\ntau 1.000, within equal depth 1.000"
    )
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Score", "True accuracy (%)")


@pytest.mark.slow
def test_there_is_a_panel_per_run_up_to_six(tmp_path: Path, truth: str) -> None:
    stores = [build_run(tmp_path / str(i), build_table(i), seed=i) for i in range(8)]

    few = ranking.draw([comparison_of(stores[:2], truth)])
    assert sum(bool(axes.collections) and axes.get_xlabel() == "Score" for axes in few.axes) == 2
    assert few.get_suptitle() == ""
    many = ranking.draw([comparison_of(stores, truth)])
    assert sum(axes.get_xlabel() == "Score" for axes in many.axes) == 6
    assert many.get_suptitle() == "The first 6 of 8 runs"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "cannot be read; check the path"),
        ("", "it is empty"),
        ("{,", "no valid JSON"),
        ("no\ntable", "got no column architecture (but no)"),
        ("{}", "wanted an object of architectures"),
        ('{"010": {"test_acc": [90], "flops": 1, "params": 1}}', "got 1 networks, wanted at least"),
        ('{"01012010": {"test_acc": [90]}}', "lacks a number of test_acc, flops or params"),
    ],
)
def test_a_bad_truth_file_is_one_sentence_and_exit_code_2(
    content: str | None,
    complaint: str,
    run: RunStore,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "bad.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    assert ranking.main([run.uri, "--truth", str(path)]) == 2

    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert complaint in printed.err
    assert printed.err.count("\n") == 1
    assert not run.list_files("figures")


def test_a_truth_without_parts_of_ten_networks_has_no_table_of_parts(
    run: RunStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = write_truth(tmp_path, build_truth(KEYS[:12], TABLE))
    assert ranking.main([run.uri, "--truth", few]) == 0

    assert "tau within" not in capsys.readouterr().out


def test_a_truth_of_equal_accuracies_is_said_to_rank_nothing(
    run: RunStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(f"{key},0.7\n" for key in KEYS[:12])
    ties = tmp_path / "ties.csv"
    ties.write_text(f"architecture,accuracy\n{rows}", encoding="utf-8")
    assert ranking.main([run.uri, "--truth", str(ties)]) == 0

    assert "nothing to rank: all networks have the same true" in capsys.readouterr().out


@pytest.mark.parametrize("limits", ["40X", "", "40M,,50M", "-1M"])
def test_what_is_no_limit_is_refused(
    limits: str, run: RunStore, truth: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ranking.main([run.uri, "--truth", truth, f"--limits={limits}"]) == 2

    printed = capsys.readouterr()
    assert printed.err.startswith(f"error: --limits {limits}: quantity ")
    assert printed.err.count("\n") == 1


def test_given_limits_replace_the_quartiles(
    run: RunStore, truth: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ranking.main([run.uri, "--truth", truth, "--limits", "50M,40M", "--json"])

    (told,) = json.loads(capsys.readouterr().out)["truths"]
    assert told["limits"] == {"40M": 40e6, "50M": 50e6, "any": None}


def test_several_truths_stand_in_one_table_of_80_columns(
    run: RunStore,
    tmp_path: Path,
    truth: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shallow = build_run(tmp_path / "shallow", TABLE[:4], space="small_mobile")
    keys = sampled(60)
    cut = {str(Architecture(key[:4])): 50 + sum(key[:4]) for key in keys}
    text = "\n".join(["architecture,accuracy", *(f"{k},{v}" for k, v in cut.items())])
    (tmp_path / "own.csv").write_text(text, encoding="utf-8")
    own = str(tmp_path / "own.csv")
    assert ranking.main([shallow.uri, run.uri, "--truth", truth, own]) == 0

    printed = capsys.readouterr().out
    *lines, path = printed.splitlines()
    assert max(map(len, lines)) <= 80
    assert path.endswith("figures/ranking.png")
    assert lines[0] == "truth.json, space nas_bench_macro"
    assert "own.csv, space small_mobile" in lines
    blocks = printed.split("rank agreement")
    assert len(blocks) == 2  # one table
    shown = blocks[1].split("\n\n")[0]
    assert shown.index("truth.json") < shown.index("run-a") < shown.index("own.csv")
    assert shown.index("own.csv") < shown.index("shallow:")
    figure = ranking.draw(compare([shallow, run], [read_truths(truth), read_truths(own)]))
    titles = [axes.get_title(loc="left").splitlines()[:2] for axes in figure.axes[:2]]
    assert titles == [["truth.json", "run-a"], ["own.csv", "shallow"]]
