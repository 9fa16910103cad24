"""Tell the classes of images by an exported network.

    python launch/predict.py RUN/exports/ARCHITECTURE image.jpg folder/ 'more/*.png'
    python launch/predict.py RUN/exports/ARCHITECTURE DIR --labelled --with int8

An image is a file, a folder of them, or a pattern; thumbnails and deleted images that systems keep
in folders such as @eaDir are passed over. The export's model.py is executed, and it is
Python that can do what you can: take exports of people you trust, or give --with onnx, which runs
the graph of operations in model.onnx and no code. With --labelled DIR has a folder for each class,
or Parquet files with image and label, and it is told how many answers are right.
Exit code 2 if no image could be read.
"""

import glob
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro
from PIL import Image

from raynas.data.file_listing import is_left_over, list_local_files, readable
from raynas.errors import UserError
from raynas.export.classifiers import FILES, Classify, Kind, Unreadable, classifier
from raynas.export.labelled import answers_of, labelled_images
from raynas.storage.folder import Folder
from raynas.storage.run_store import RUN_COPY, RunStore, runs_named
from raynas.storage.uris import name_of, shown
from raynas.terminal.cli import exit_code, make_console, run_script


@dataclass(frozen=True)
class Command:
    """Tell the classes of images by an exported network."""

    export: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="EXPORT")]
    """Folder of an export, RUN/exports/ARCHITECTURE, or a URI."""
    images: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE")]
    """Files, folders, or patterns such as 'photos/*.jpg'."""
    top: int = 3
    """Most probable classes to print for each image."""
    json: bool = False
    """Print a JSON object a line for each image; with --labelled one for all."""
    with_: Annotated[Kind, tyro.conf.arg(name="with")] = "module"
    """File to use: module, model.py; onnx, model.onnx, which runs no code; or int8,
    model.int8.onnx."""
    onnx: bool = False
    """Short for --with onnx."""
    labelled: bool = False
    """Tell how many images of one folder are answered right; it has class folders, perhaps in parts
    of which the test part is taken, or is one of Parquet files."""

    @property
    def kind(self) -> Kind:
        """The file to use."""
        return "onnx" if self.onnx and self.with_ == "module" else self.with_


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    return exit_code(lambda: predict(parse(argv)))


def parse(argv: Sequence[str] | None) -> Command:
    """Return the command."""
    return tyro.cli(Command, args=argv, description=__doc__, config=(tyro.conf.FlagCreatePairsOff,))


def predict(command: Command) -> None:
    """Print the most probable classes of each image.

    Raises:
        UserError: There is no such export, or none of the images could be read.
    """
    if command.top < 1:
        raise UserError(f"--top: got {command.top}, wanted at least 1")
    if not command.images:
        raise UserError("images: got none, wanted at least one file, folder or pattern")
    if command.labelled and len(command.images) != 1:
        raise UserError(f"--labelled: got {len(command.images)} folders, wanted one of all classes")
    with tempfile.TemporaryDirectory() as spare:
        folder = _local(command.export, Path(spare))
        _refuse_damaged(folder, command.export)
        if command.labelled:
            _judge(folder, command)
            return
        classify = classifier(folder, command.kind, command.export)
        paths = list(_paths(command.images))
        read = [_tell(path, classify, command) for path in paths]
    if not any(read):
        raise UserError(f"images: none of {len(paths):,} could be read; check the paths")


def _judge(folder: Path, command: Command) -> None:
    """Print how many answers to labelled images are right, and which classes are confused."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    given = labelled_images(command.images[0], config["classes"])
    if given.part != "test" and name_of(command.images[0].rstrip("/")) == config["data"]["name"]:
        _complain(
            f"warning: images {shown(command.images[0])}: they have the name of those that the "
            "network was trained on, and their test part is not known; of images that it was "
            "trained on the accuracy is too high, so give others"
        )
    classify = classifier(folder, command.kind, command.export)
    found = answers_of(given, classify, config["classes"], _complain)
    if command.json:
        print(json.dumps({"file": FILES[command.kind], "part": given.part} | found.to_json()))
        return
    if given.part:
        print(f"part {given.part}; {given.passed_over:,} images of other parts are passed over")
    print(f"by {FILES[command.kind]}:", end=" ")
    found.show(make_console())


def _complain(sentence: str) -> None:
    print(readable(sentence), file=sys.stderr)


def _tell(path: str, classify: Classify, command: Command) -> bool:
    """Print what an image shows; return whether it could be read."""
    try:
        ranking = classify(partial(Image.open, path))[: command.top]
    except Unreadable as error:
        print(f"{readable(path)}: cannot be read ({error})", file=sys.stderr)
        return False
    if command.json:
        classes = [{"class": name, "probability": share} for name, share in ranking]
        print(json.dumps({"image": path, "classes": classes}))
    else:
        print(f"{readable(path)}: {', '.join(f'{name} {share:.3f}' for name, share in ranking)}")
    return True


def _paths(words: Sequence[str]) -> Iterator[str]:
    """Yield files: those named, those in folders that look like images, those that match."""
    for word in words:
        if os.path.isdir(word):  # noqa: PTH112 - Path raises where it may not look
            yield from _images_in(word)
        elif os.path.lexists(word) or not glob.has_magic(word):
            yield word
        else:
            yield from _matching(word) or [word]


def _matching(pattern: str) -> list[str]:
    """Return what a pattern matches, each file once, and what systems left only if it says so."""
    own, found = set(Path(pattern).parts), dict[str, str]()
    matching = glob.glob(pattern, recursive=True)  # noqa: PTH207 - may be absolute
    for path in sorted(matching, key=lambda path: (len(path), path)):
        if not any(map(is_left_over, set(Path(path).parts) - own)):
            found.setdefault(os.path.realpath(path), path)
    return sorted(found.values())


def _images_in(folder: str) -> Iterator[str]:
    """Yield the images of a folder as training would take them."""
    endings = Image.registered_extensions()
    try:
        paths = list_local_files(folder).paths.values()
    except OSError as error:
        place = readable(os.fsdecode(error.filename or folder))
        print(f"{place}: cannot be read ({error.strerror})", file=sys.stderr)
        return
    yield from (path for path in paths if Path(path).suffix.lower() in endings)


def _local(export: str, spare: Path) -> Path:
    """Return the folder of an export on this machine; one in an object store is fetched.

    Raises:
        UserError: There is no export.
    """
    folder = Folder(export)
    if not folder.has("config.json"):
        hint = "wanted the folder of one network, such as RUN/exports/3-0-5"
        if any(map(folder.has, ("tables/runs/run.parquet", "tables/runs/all.parquet", RUN_COPY))):
            hint = "it is a run folder, so name one of its exports, EXPORT/exports/ARCHITECTURE"
        elif runs := RunStore(export).inner_runs():
            hint = (
                f"it holds runs ({runs_named(runs)}), so name an export of one of them, such as "
                f"EXPORT/{runs[0]}/exports/ARCHITECTURE"
            )
        raise UserError(f"export {shown(export)}: no config.json in it; {hint}")
    if folder.local_folder is not None:
        return folder.local_folder
    for name in folder.list_files(""):
        (spare / name).write_bytes(folder.read_bytes(name))
    return spare


def _refuse_damaged(folder: Path, export: str) -> None:
    """Refuse an export of which a file is cut off; model.py may have been edited on purpose."""
    damaged = "config.json"
    try:
        config = json.loads((folder / damaged).read_text(encoding="utf-8"))
        sizes = config.get("bytes", {}).items()
        damaged = next(
            name
            for name, size in sizes
            if name != "model.py" and size != (folder / name).stat().st_size
        )
    except (StopIteration, FileNotFoundError):  # what is missing is told where it is needed
        return
    except (AttributeError, ValueError):  # no JSON, or not that of an export
        pass
    raise UserError(
        f"export {shown(export)}: {damaged} is damaged; launch/export.py RUN writes it anew"
    )


if __name__ == "__main__":
    run_script(main)
