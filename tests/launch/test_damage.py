"""Runs that have lost files, whole or in part: the same command makes them whole again."""

import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from raynas.cluster import pretraining, run_setup
from raynas.cluster.planning.connection import Resources
from raynas.recording.damage import missing
from raynas.storage.run_store import RUN_COPY, RunStore
from raynas.storage.schemas import SCHEMAS
from tests.launch.scripts import TINY, LocalPathWorkers, load_script, results_of

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]  # a run, and one more a test

search = load_script("search")
FLAGS = (
    *TINY,
    # one trial at a time: the search learns in the order in which they end
    *shlex.split("--images.share 0.2 --check 2 --check-epochs 1 --search calibrated"),
)
BY_GATES = {"gates", "search_epochs"}  # which the tests of differentiable searches lose
DAMAGES = ("missing", "empty", "cut off")


@pytest.fixture(autouse=True)
def _on_our_ray(cluster: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the script find the Ray that is there, and leave it running."""

    @contextmanager
    def connected(**_: bool) -> Iterator[Resources]:
        yield cluster

    monkeypatch.setattr(run_setup, "connected", connected)
    monkeypatch.setattr(pretraining, "PathWorkers", LocalPathWorkers)


@pytest.fixture(scope="module")
def sound(cluster: Resources, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished run of everything that layers in a chain have."""
    run = tmp_path_factory.mktemp("runs") / "run"

    @contextmanager
    def connected(**_: bool) -> Iterator[Resources]:
        yield cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_setup, "connected", connected)
        patch.setattr(pretraining, "PathWorkers", LocalPathWorkers)
        assert search.main(["--run", str(run), *FLAGS]) == 0
    return run


def damage(path: Path, how: str) -> None:
    """Do to a file what happens to files."""
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: 0 if how == "empty" else path.stat().st_size // 2])


@pytest.mark.slow
@pytest.mark.parametrize("finished", [True, False])
def test_a_run_that_lost_a_file_of_every_table_is_made_whole_by_the_same_command(
    sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], finished: bool
) -> None:
    """One that has ended keeps its pretraining, and so lacks what was recorded on the way."""
    run = tmp_path / "run"
    shutil.copytree(sound, run)
    (row,) = (store := RunStore(str(run))).rows("runs")
    if not finished:
        store.append("runs", [row | {"finished": None}], "run")
        store.write_bytes(RUN_COPY, store.read_bytes("tables/runs/run.parquet"))
    damages = [DAMAGES[(place + finished) % 3] for place in range(len(SCHEMAS))]
    for table, how in zip(SCHEMAS, damages, strict=True):
        for file in (run / "tables" / table).glob("*.parquet"):
            damage(file, how)
    models = sorted((run / "models").iterdir())
    damage(models[0], "missing")
    damage(models[1], "cut off")
    if not finished:
        damage(run / "checkpoints" / "pretraining.safetensors", "cut off")
        damage(run / "checkpoints" / "search.json", "empty")
        damage(run / "checkpoints" / models[1].name, "cut off")

    assert search.main(["--run", str(run), *FLAGS]) == 0
    output = capsys.readouterr().out
    found, wanted = results_of(run), results_of(sound)
    if finished:
        for table in ("steps", "indicators"):  # what is lost, and said to be
            assert f"tables/{table}/" in output
            assert len(found.pop(table)) < len(wanted.pop(table))
    for results in (found, wanted):
        for table in ("checks", "calibration"):
            results[table].sort(key=str)
    assert found == wanted
    (again,) = store.rows("runs")
    assert (again["settings"], again["plan"]) == (row["settings"], row["plan"])
    assert again["finished"] is not None
    assert missing(store, search.parse([*FLAGS]).settings) == []
    assert (run / "damaged").is_dir()
