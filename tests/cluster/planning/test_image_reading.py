"""Reading images in tasks of Ray: what threads here would find, whatever happens to the tasks."""

import os
from pathlib import Path

import pyarrow as pa
import pytest

from raynas.cluster.planning import image_reading
from raynas.cluster.planning.connection import Resources
from raynas.cluster.planning.image_reading import on_all_nodes
from raynas.data.encoded_images import Raws
from raynas.data.headers import read_headers
from raynas.data.in_blocks import in_threads
from raynas.data.loading import read_images
from raynas.data.sources import open_source
from raynas.settings.images import ImageSettings
from tests.data.samples import numbered_tree


@pytest.fixture
def in_small_tasks(cluster: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let twenty images be many, and seven fill a task."""
    del cluster
    monkeypatch.setattr(image_reading, "_FEW", 20)
    monkeypatch.setattr(image_reading, "_BLOCK", 7)


def told(images: Raws) -> tuple[int, pa.RecordBatch]:
    """Return who reads some images, and what it reads."""
    return os.getpid(), read_headers(images)


def killed_elsewhere(images: Raws) -> list[str]:
    """Name the images, but only in the process whose id a file holds."""
    here = Path(images[0].open.path).parents[1] / "here"  # type: ignore[attr-defined]
    if int(here.read_text()) != os.getpid():
        os._exit(1)
    return [image.name for image in images]


def test_a_node_that_does_not_see_the_files_calls_none_of_them_broken(tmp_path: Path) -> None:
    images = open_source(numbered_tree(tmp_path)).images
    (tmp_path / "class0" / "000.png").unlink()
    with pytest.raises(FileNotFoundError):
        image_reading._on_block(read_headers, images, slice(0, 7))


@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.usefixtures("in_small_tasks")
class TestTasks:
    def test_other_processes_read_what_threads_read_in_the_same_order(self, tmp_path: Path) -> None:
        images = open_source(numbered_tree(tmp_path)).images
        blocks, found = zip(*on_all_nodes(told, images), strict=True)
        workers, batches = zip(*found, strict=True)

        assert [block.stop - block.start for block in blocks] == [7, 7, 7, 7, 2]
        assert os.getpid() not in workers
        assert pa.Table.from_batches(batches).equals(
            pa.Table.from_batches([batch for _, batch in in_threads(read_headers, images)])
        )

    def test_what_a_node_fails_at_is_done_here(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(image_reading, "_BLOCK", 30)
        monkeypatch.setattr(image_reading, "_RETRIES", 0)
        images = open_source(numbered_tree(tmp_path)).images
        (tmp_path / "here").write_text(str(os.getpid()))
        found = [name for _, names in on_all_nodes(killed_elsewhere, images) for name in names]

        assert found == [image.name for image in images]

    def test_a_whole_data_set_is_verified_by_them(self, tmp_path: Path) -> None:
        data = numbered_tree(tmp_path)
        broken = tmp_path / "class1" / "003.png"
        broken.write_bytes(broken.read_bytes()[:50])
        settings = ImageSettings(in_memory="no", verify=True, max_corrupt=0.1)
        (dataset, listed), (alike, _) = (
            read_images(data, settings, 0, 8, spread=spread)
            for spread in (on_all_nodes, in_threads)
        )

        assert dataset.skipped == alike.skipped == ("class1/003.png",)
        assert dataset.mean == alike.mean
        assert listed["part"].null_count == 1


def test_few_images_are_read_here(tmp_path: Path) -> None:
    images = open_source(numbered_tree(tmp_path)).images

    assert {pid for _, (pid, _) in on_all_nodes(told, images)} == {os.getpid()}
