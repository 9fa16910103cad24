"""Own images through the whole story: odd files, unequal classes, photographs, Parquet."""

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from raynas.cluster import run_setup
from raynas.data import loading
from raynas.reporting.confidence import wilson
from raynas.storage.run_store import RunStore
from tests.builders import SHARED_DATA
from tests.data.samples import build_images, write_tree
from tests.launch.scripts import TINY, Ended, InProcess, rows_of

pytestmark = pytest.mark.cluster

QUICK = (
    *TINY,
    *shlex.split("--search exact --pretrain.batch 16 --retrain.batch 16 --retrain.top-k 1"),
    *("--rivals", "none"),  # photographs would have large ones
)


def facts_of(run: Path) -> dict[str, Any]:
    """Return what a run recorded of its data."""
    facts: dict[str, Any] = json.loads(rows_of(run, "runs")[0]["plan"])
    return facts


@pytest.fixture(scope="module")
def odd(in_process: InProcess, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """Return a run on a folder of unequal classes and of all kinds of files."""
    root = tmp_path_factory.mktemp("odd") / "images"
    images = build_images(160, 40, 3, 2, seed=0)
    few, many = (
        [Image.fromarray(p.transpose(1, 2, 0)) for p in images.pixels[images.labels == label]]
        for label in (0, 1)
    )
    write_tree(root, {"rare": few[:30], "usual": many})
    for number, mode in enumerate(("L", "LA", "RGBA", "P", "1")):
        few[40 + number].convert(mode).save(root / "rare" / f"{mode}.png")
    few[50].convert("CMYK").resize((64, 48)).save(root / "rare" / "print.jpg")
    Image.fromarray(np.full((50, 30), 40_000, dtype=np.uint16)).save(root / "rare" / "scan.png")
    (root / "usual" / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    (root / "usual" / "phone.heic").touch()
    run = root.parent / "run"
    return run, in_process.run(run, "--data", str(root), "--resolution", "28", *QUICK)


@pytest.mark.slow
class TestOddFiles:
    def test_the_plan_tells_sizes_classes_and_what_is_left_out(
        self, odd: tuple[Path, Ended]
    ) -> None:
        _, end = odd

        assert end.code == 0, end.errors
        assert end.errors == ""
        for words in (
            "3 x 28 x 28",
            "images of 30 to 48 pixels (half above 40), cut to squares and resized",
            "37 (rare) to 80 images (usual), so look at balanced accuracy, too",
            "1 images that cannot be read: usual/broken.jpg",
            "files that are no images by their endings: 1 heic",
        ):
            assert words in end.output

    def test_both_accuracies_and_the_test_s_size_are_recorded_and_printed(
        self, odd: tuple[Path, Ended]
    ) -> None:
        run, end = odd
        (outcome,) = rows_of(run, "outcomes")
        counts = facts_of(run)["class_counts"]

        assert outcome["test_images"] == sum(counts["test"]) == 7 + 16
        assert 0 < outcome["test_balanced_accuracy"] <= 1
        assert (
            rows_of(run, "trials")[-1]["val_balanced_accuracy"]
            == (outcome["val_balanced_accuracy"])
        )
        assert "test balanced" in end.output
        low, high = wilson(outcome["test_accuracy"], 23)
        assert f"on 23 images means {low:.3f} to {high:.3f} (95 % interval)" in end.output

    def test_what_a_network_must_know_of_its_images_is_recorded(
        self, odd: tuple[Path, Ended]
    ) -> None:
        facts = facts_of(odd[0])

        assert facts["classes"] == ["rare", "usual"]
        assert (facts["channels"], facts["resolution"]) == (3, 28)
        assert len(facts["mean"]) == len(facts["std"]) == 3

    def test_every_image_is_listed_with_its_part(self, odd: tuple[Path, Ended]) -> None:
        rows = {row["path"]: row for row in rows_of(odd[0], "images")}

        assert len(rows) == 30 + 7 + 80 + 1
        assert rows["usual/broken.jpg"]["part"] is None
        scan = rows["rare/scan.png"]
        assert (scan["class"], scan["width"], scan["height"], scan["channels"]) == (
            "rare",
            30,
            50,
            1,
        )

    def test_a_run_does_not_go_on_with_other_images_and_names_them(
        self, in_process: InProcess, odd: tuple[Path, Ended]
    ) -> None:
        run, _ = odd
        root = run.parent / "images"
        RunStore.open(str(run)).drop("outcomes", lambda _: True)  # so there is something to do
        (root / "usual" / "003.png").rename(root / "usual" / "moved.png")
        run_setup._images.cache_clear()  # another process would have read them anew
        end = in_process.run(run, "--data", str(root), "--resolution", "28", *QUICK)
        (root / "usual" / "moved.png").rename(root / "usual" / "003.png")
        run_setup._images.cache_clear()
        again = in_process.run(run, "--data", str(root), "--resolution", "28", *QUICK)

        assert end.code == 2
        assert (
            "run folder: its data have changed since it began: 1 are gone (such as usual/003.png), "
            "1 are new (such as usual/moved.png); bring the old images back" in end.errors
        )
        assert again.code == 0


@pytest.mark.slow
def test_photographs_are_cut_out_of_their_files_and_those_that_are_broken_are_told(
    in_process: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five images stand for all others, so that the broken one is met in training."""
    monkeypatch.setattr(loading, "_SAMPLE", 5)
    rng = np.random.default_rng(0)
    noise = [Image.fromarray(rng.integers(0, 256, (140, 150, 3), np.uint8)) for _ in range(24)]
    data = Path(write_tree(tmp_path / "data", {"a": noise[:12], "b": noise[12:]}, "jpg"))
    for file in data.glob("a/*.jpg"):
        content = file.read_bytes()
        file.write_bytes(content if file.stem != "005" else content[:-600])
    run = tmp_path / "run"
    end = in_process.run(
        *(run, "--data", str(data), "--resolution", "128", "--images.max-corrupt", "0.1"),
        *("--images.loader-workers", "1", *QUICK),
    )

    assert (end.code, end.errors) == (0, "")
    assert "crops     cut to random parts (0.08 to 1 of the area), mirrored for train" in end.output
    assert "evaluation sees the middle 0.875 of the shorter side" in end.output
    assert [row["image"] for row in rows_of(run, "lost_images")] == ["a/005.jpg"]
    assert "1 images could not be read when they were needed" in end.output
    assert facts_of(run)["evaluation_ratio"] == 0.875  # by which exports prepare images


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="no ../shared/data")
class TestRealImages:
    def test_photographs_run_to_the_end(self, in_process: InProcess, tmp_path: Path) -> None:
        run = tmp_path / "run"
        flags = ("--data", str(SHARED_DATA / "photos"), "--resolution", "64")
        end = in_process.run(run, *flags, *QUICK)

        assert (end.code, end.errors) == (0, "")
        assert facts_of(run)["classes"] == ["birds", "dogs", "food", "reptiles"]
        assert [row["status"] for row in rows_of(run, "outcomes")] == ["finished"]

    def test_cifar10_in_parquet_runs_to_the_end(
        self, in_process: InProcess, tmp_path: Path
    ) -> None:
        for part, count in (("train", 300), ("test", 100)):
            with pq.ParquetFile(SHARED_DATA / "cifar10" / f"{part}.parquet") as file:
                rows = next(file.iter_batches(count))
            pq.write_table(pa.Table.from_batches([rows]), tmp_path / f"{part}.parquet")
        run = tmp_path / "run"
        end = in_process.run(run, "--data", str(tmp_path), "--images.share", "0.5", *QUICK)

        assert (end.code, end.errors) == (0, "")
        assert facts_of(run)["classes"][:2] == ["airplane", "automobile"]
        assert rows_of(run, "outcomes")[0]["test_images"] == 100
