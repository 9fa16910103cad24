"""Runs at several resolutions by one command: planned, refused, interrupted, continued."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest

from raynas.cluster import pretraining, resolutions, retraining, run_setup
from raynas.cluster.planning.connection import Resources
from raynas.storage.run_store import RunStore
from raynas.storage.usage import Usage
from tests.builders import ROOT
from tests.launch.scripts import (
    SPEEDS,
    TINY,
    InProcess,
    LocalPathWorkers,
    files_of,
    load_script,
    rows_of,
)

search = load_script("search")
SHARE = ("--images.share", "0.2")


@pytest.fixture
def pretended_cluster(monkeypatch: pytest.MonkeyPatch) -> mock.Mock:
    """Let the script find two CPUs without starting Ray, and begin no run; return its probe."""

    @contextmanager
    def connected(**_: bool) -> Iterator[Resources]:
        yield Resources(nodes=1, cpus=2.0, gpus=0.0)

    probe = mock.Mock(return_value=SPEEDS)
    for module in (resolutions, run_setup):
        monkeypatch.setattr(module, "connected", connected)
    monkeypatch.setattr(run_setup, "probe", probe)
    monkeypatch.setattr(search, "begun", None)
    monkeypatch.setattr(run_setup, "refuse_unfit_nodes", lambda *_: None)  # there are none
    return probe


def test_a_dry_run_plans_and_forecasts_each_resolution_and_says_the_sum(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pretended_cluster: mock.Mock
) -> None:
    flags = ["--run", str(tmp_path / "run"), "--dry-run", *SHARE, "--resolutions", "12,8"]
    assert search.main(flags) == 0
    lines = capsys.readouterr().out.splitlines()
    forecasts = [line for line in lines if line.startswith("forecast  ")]

    assert [line.partition(":")[0] for line in lines if line.startswith("at ")] == [
        "at 12 pixels (1 of 2)",
        "at 8 pixels (2 of 2)",
    ]
    shapes = [line.rpartition(", ")[2] for line in lines if line.startswith("data ")]
    assert shapes == ["1 x 12 x 12", "1 x 8 x 8"]
    assert len(forecasts) == 3
    assert forecasts[2].startswith("forecast  of all 2 runs: ")
    least = [line.rpartition("in all ")[2].split()[0] for line in forecasts[:2]]
    sum_of_both = float(forecasts[2].split("runs: ")[1].split()[0])
    assert sum_of_both == pytest.approx(sum(map(float, least)), abs=1)
    assert pretended_cluster.call_count == 2
    assert list(tmp_path.iterdir()) == []

    assert search.main([*flags, "--skip-forecast"]) == 0
    assert "forecast" not in capsys.readouterr().out


REFUSED = {
    "--resolutions 12": "--resolutions 12: wanted two or more sides",
    "--resolutions 12,12": "got 12 twice",
    "--resolutions 8,12 --resolution 8": "--resolution with --resolutions: give one of the two",
    "--resolutions 8,12 --images.resolution=8": "--images.resolution with --resolutions: give",
    "--resolutions 8,12 --budget 2h": "--budget 2h with --resolutions",
    "--resolutions 8,32 --max-macs 200k": "--resolutions 32: --max-macs 200",
    "--resolutions 8,12 --from {tmp}/one": "--from {tmp}/one with --resolutions: wanted the folder",
    "--resolutions 8,12 --pretrained {tmp}/one": "--pretrained {tmp}/one with --resolutions: ",
    "--resolutions 8,12 --run {tmp}/one": "run folder {tmp}/one holds a single run",
    "--resolution 8 --run {tmp}/several": "holds a run at each of several resolutions (at-8)",
    "--resolutions 8,12 --run {tmp}/several": "{tmp}/several/at-8 holds a run of other settings",
}


@pytest.mark.usefixtures("pretended_cluster")
@pytest.mark.parametrize("flags", REFUSED)
def test_what_cannot_work_is_refused_in_one_sentence_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: str
) -> None:
    row = {"settings": search.parse(["--seed", "5", "--resolution", "8"]).settings.to_json()}
    for folder in ("one", "several/at-8"):
        RunStore.create(str(tmp_path / folder)).append("runs", [row], "run")
    before = files_of(tmp_path)
    words = flags.format(tmp=tmp_path).split()
    code = search.main(["--run", str(tmp_path / "run"), *SHARE, *words])
    printed = capsys.readouterr()

    assert code == 2
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert REFUSED[flags].format(tmp=tmp_path) in printed.err
    assert files_of(tmp_path) == before


def test_unnamed_runs_at_the_same_resolutions_lie_in_one_folder_whatever_their_order() -> None:
    settings = search.parse(["--data", "cifar10"]).settings
    one, same, other = (
        resolutions.folder_of_resolutions(settings, sides).uri
        for sides in ((96, 32), (32, 96), (32, 64))
    )

    assert one == same != other
    assert Path(one).parent == ROOT / "runs" or Path(one).parent.name == "runs"
    assert Path(one).name.startswith("cifar10-small_mobile-at-32-96-")


@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.timeout(1200)
def test_runs_are_continued_where_they_stopped_and_the_best_of_all_is_named(
    in_process: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretraining, "PathWorkers", LocalPathWorkers)
    run = tmp_path / "run"
    short = (*SHARE, "--retrain.top-k", "1", "--retrain.epochs", "1", "--export.no-int8")
    flags = ("--resolutions", "8,12", *(flag for flag in TINY if flag != "--no-export"), *short)

    with monkeypatch.context() as patch:
        patch.setattr(retraining, "retrain", mock.Mock(side_effect=KeyboardInterrupt))
        stopped = in_process.run(run, *flags)
    assert stopped.code == 130
    assert "run the same command again to continue" in stopped.errors
    assert [path.name for path in run.iterdir()] == ["at-8"]
    steps = rows_of(run / "at-8", "steps")

    end = in_process.run(run, *flags)
    assert end.code == 0, end.errors
    assert rows_of(run / "at-8", "steps") == steps
    for side in (8, 12):
        store = RunStore(str(run / f"at-{side}"))
        (row,) = store.rows("runs")
        assert row["finished"] is not None
        assert f"Outcomes of at-{side}" in end.output
        assert Usage.from_json(row["spent"]).stages["pretrain"].seconds > 0
    best = max(
        (rows_of(run / f"at-{side}", "outcomes")[0] | {"side": side} for side in (8, 12)),
        key=lambda row: (row["val_accuracy"], -row["macs"]),
    )
    winner, side = best["architecture"], best["side"]
    assert f"winner: {winner} at {side} pixels, by its accuracy on validation" in end.output
    images = best["test_images"]
    assert f"\ntest: on the same {images} test images the accuracy of the best" in end.output
    assert f"\nexport: {run}/at-{side}/exports/{winner}\n" in end.output
    assert (run / "report.html").exists()

    before = {each: files_of(run / each) for each in ("at-8", "at-12")}
    with monkeypatch.context() as patch:
        patch.setattr(resolutions, "connected", None)
        again = in_process.run(run, *flags)
    assert again.code == 0, again.errors
    assert again.output == end.output[end.output.index("winner: ") :]
    assert {each: files_of(run / each) for each in before} == before

    warm = in_process.run(tmp_path / "warm", *flags, "--from", str(run), "--dry-run")
    assert warm.code == 0, warm.errors
    assert warm.output.count("from      ") == 2
    assert f"from      {run}/at-12: pretraining" in warm.output
