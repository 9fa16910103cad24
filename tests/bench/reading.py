"""What a data set of ImageNet's kind costs before anything trains, and an image while it does.

    python -m tests.bench.reading [--photos P] [--images N] [--gigabytes G] [--resolution R]

Makes a folder of N hard-linked photographs in a hundred classes, and Parquet files of G GB of the
same ones, and measures in processes of their own: reading the folder for the first time and again,
the memory for it, sending the index of 1.28 million images, reading the Parquet files, and the
loader with random parts of originals, in the process that trains and in those that decode. CPU
time counts, of this machine's cores. The last line is a JSON object. It measures and asserts
nothing; a figure for 1.28 million images that was not measured is called extrapolated.
"""

import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
import tyro

from raynas.data.batches import Batches
from raynas.data.dataset import Dataset, EncodedImages
from raynas.data.image_index import ImageIndex
from raynas.data.loading import load_dataset
from raynas.data.prefetch import Loader
from raynas.seeds import Stream
from raynas.settings.images import ImageSettings
from tests.nodes import descendants

IMAGENET = 1_281_167
Figures = dict[str, float]


@dataclass(frozen=True)
class Command:
    """What reading and loading photographs costs."""

    photos: str = "../shared/data/photos"
    """Folder with the photographs that are linked, in any folders of its own."""
    images: int = 100_000
    """Images of the folder."""
    gigabytes: float = 1.0
    """Size of the Parquet files."""
    resolution: int = 224
    """Pixels of a batch's images."""
    batch: int = 64
    """Images of a batch."""
    steps: int = 30
    """Batches that are measured."""
    decoders: int = 2
    """Processes that decode."""
    part: str | None = None
    """Measure this alone, in this process; the script calls itself so."""
    data: str = ""
    """Where that part finds the images."""


def main() -> None:
    """Make the images, measure each part in a process of its own, and print."""
    command = tyro.cli(Command)
    torch.set_num_threads(1)
    if command.part:
        print(json.dumps(PARTS[command.part](command)))
        return
    with tempfile.TemporaryDirectory() as folder:
        tree, rows = Path(folder) / "tree", Path(folder) / "rows"
        photos = copied(command, Path(folder) / "photos")
        link(photos, tree, command.images)
        write_rows(photos, rows, command.gigabytes)
        os.environ["RAYNAS_CACHE"] = f"{folder}/cache"
        figures = {
            "reading": in_process(command, "read", tree),
            "reading_again": in_process(command, "read", tree),
            "index": in_process(command, "send", tree),
            "parquet": in_process(command, "read", rows),
            "loader": in_process(command, "load", tree),
        }
    first, again = (figures[name]["cpu_seconds"] for name in ("reading", "reading_again"))
    scale = IMAGENET / command.images
    figures["extrapolated_to_imagenet"] = {
        "reading_cpu_seconds": round(first * scale, 1),
        "reading_again_cpu_seconds": round(again * scale, 1),
    }
    print(json.dumps(figures, indent=1))


def copied(command: Command, folder: Path) -> list[Path]:
    """Return copies of the photographs, on the disk where they will be linked."""
    folder.mkdir()
    found = sorted(
        p for p in Path(command.photos).rglob("*") if p.suffix.lower() in {".jpeg", ".jpg"}
    )
    for number, photo in enumerate(found):
        (folder / f"{number}.jpg").write_bytes(photo.read_bytes())
    return sorted(folder.iterdir())


def link(photos: list[Path], tree: Path, count: int) -> None:
    """Make a folder of class folders of links."""
    for number in range(count):
        place = tree / f"class{number % 100:03d}"
        if number < 100:
            place.mkdir(parents=True)
        (place / f"{number:08d}.jpg").hardlink_to(photos[number % len(photos)])


def write_rows(photos: list[Path], folder: Path, gigabytes: float) -> None:
    """Write Parquet files of a hundred rows a group, as Hugging Face writes images."""
    folder.mkdir()
    rows = [{"bytes": photo.read_bytes(), "path": None} for photo in photos]
    size = sum(len(row["bytes"] or b"") for row in rows)
    table = pa.table({"image": rows, "label": [number % 10 for number in range(len(rows))]})
    for number in range(max(round(gigabytes * 1e9 / size / 10), 1)):
        whole = pa.concat_tables([table] * 10)
        pq.write_table(whole, folder / f"train-{number:05d}.parquet", row_group_size=100)


def in_process(command: Command, part: str, data: Path) -> Figures:
    """Return what a part of this script prints when it runs alone."""
    words = [
        *(sys.executable, "-m", "tests.bench.reading", "--part", part, "--data", str(data)),
        *("--resolution", str(command.resolution), "--batch", str(command.batch)),
        *("--steps", str(command.steps), "--decoders", str(command.decoders)),
    ]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    found: Figures = json.loads(done.stdout.splitlines()[-1])
    return found


def loaded(command: Command) -> Dataset:
    """Return the images of a part."""
    settings = ImageSettings(resolution=command.resolution, loader_workers=command.decoders)
    return load_dataset(command.data, settings, 0, command.resolution)


def read(command: Command) -> Figures:
    """Return what reading takes."""
    forget_peak()
    memory, started = peak(), time.process_time()
    dataset = loaded(command)
    seconds = time.process_time() - started
    sent = len(pickle.dumps(dataset))
    return {
        "images": sum(map(sum, dataset.class_counts.values())),
        "cpu_seconds": round(seconds, 2),
        "megabytes": round(peak() - memory),
        "sent_megabytes": round(sent / 1e6, 1),
    }


def send(command: Command) -> Figures:
    """Return what it takes to send as many images as ImageNet has to a worker."""
    train = loaded(command).train
    assert isinstance(train, EncodedImages)
    assert isinstance(train.raws, ImageIndex)
    times = -(-IMAGENET // len(train))
    table = pa.concat_tables([train.raws.table] * times).slice(0, IMAGENET).combine_chunks()
    whole = replace(train, raws=ImageIndex(table, train.raws.place))
    buffers: list[pickle.PickleBuffer] = []
    started = time.process_time()
    pickled = pickle.dumps(whole, protocol=5, buffer_callback=buffers.append)  # as Ray does
    between = time.process_time()
    pickle.loads(pickled, buffers=buffers)  # noqa: S301 - written just now
    return {
        "images": len(table),
        "cpu_seconds_there": round(between - started, 4),
        "cpu_seconds_here": round(time.process_time() - between, 4),
        "megabytes": round(sum(buffer.raw().nbytes for buffer in buffers) / 1e6, 1),
    }


def load(command: Command) -> Figures:
    """Return what an image costs the process that trains, and those that decode."""
    loader = Loader(Batches(loaded(command), command.batch, 0, Stream.PRETRAINING))
    started = time.perf_counter()
    loader(0)
    first = time.perf_counter() - started
    for step in range(1, 6):
        loader(step)
    own, others, clock = time.process_time(), of_children(), time.perf_counter()
    for step in range(6, 6 + command.steps):
        loader(step)
    images = command.steps * command.batch
    figures = {
        "first_batch_seconds": round(first, 2),
        "trainer_cpu_ms": round((time.process_time() - own) / images * 1e3, 4),
        "decoders_cpu_ms": round((of_children() - others) / images * 1e3, 3),
        "images_per_second": round(images / (time.perf_counter() - clock)),
    }
    loader.close()
    return figures


def of_children() -> float:
    """Return the CPU seconds of all processes that this one has started and that run."""
    ticks = 0
    for process in descendants(os.getpid())[1:]:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def forget_peak() -> None:
    """Let the most memory that this process has had be what it has now."""
    Path("/proc/self/clear_refs").write_text("5")


def peak() -> float:
    """Return the most memory that this process has had since, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (found,) = (line for line in lines if line.startswith("VmHWM:"))
    return int(found.split()[1]) / 1e3


PARTS = {"read": read, "send": send, "load": load}

if __name__ == "__main__":
    main()
