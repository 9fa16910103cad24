"""Tell the classes of images by an exported network.

    python launch/predict.py RUN/exports/ARCHITECTURE image.jpg folder/ 'more/*.png'

An image is a file, a folder of them, or a pattern; thumbnails and deleted images that systems keep
in folders such as @eaDir are passed over. The export's model.py is executed, and it is
Python that can do what you can: take exports of people you trust, or give --onnx, which runs the
graph of operations in model.onnx and no code. Exit code 2 if no image could be read.
"""

import glob
import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from PIL import Image

from raynas.data.decoding import Square, decode, why_broken
from raynas.data.file_listing import is_left_over, list_local_files, readable
from raynas.errors import UserError
from raynas.export.module_source import import_file
from raynas.storage.folder import Folder
from raynas.storage.run_store import RUN_COPY
from raynas.storage.uris import shown
from raynas.terminal.cli import exit_code, run_script
from raynas.training.onnx_network import OnnxNetwork

Ranking = list[tuple[str, float]]
Classify = Callable[[str], Ranking]


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
    """Print a JSON object a line for each image."""
    onnx: bool = False
    """Use model.onnx, which runs no code, instead of model.py."""


class Unreadable(Exception):  # noqa: N818 - what it is, not how
    """Why an image could not be read."""


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
    paths = list(_paths(command.images))
    with tempfile.TemporaryDirectory() as spare:
        folder = _local(command.export, Path(spare))
        _refuse_damaged(folder, command.export)
        classify = _classifier(folder, command)
        read = [_tell(path, classify, command) for path in paths]
    if not any(read):
        raise UserError(f"images: none of {len(paths):,} could be read; check the paths")


def _tell(path: str, classify: Classify, command: Command) -> bool:
    """Print what an image shows; return whether it could be read."""
    try:
        ranking = classify(path)[: command.top]
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


def _classifier(folder: Path, command: Command) -> Classify:
    """Return what classifies a file by an export.

    Raises:
        UserError: A file is missing, or what it holds is no network.
    """
    file, other = (
        ("model.onnx", "go without --onnx") if command.onnx else ("model.py", "try --onnx")
    )
    try:
        return _by_onnx(folder) if command.onnx else _by_module(folder)
    except UserError:
        raise
    except Exception as error:  # whatever is raised by a file that is cut off, or was edited
        why = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise UserError(
            f"export {shown(command.export)}: {file} and what it reads cannot be loaded ({why}); "
            f"launch/export.py RUN writes it anew, or {other}"
        ) from error


def _needed(folder: Path, name: str, otherwise: str) -> Path:
    if not (folder / name).is_file():
        raise UserError(f"export {folder.name}: it has no {name}; {otherwise}")
    return folder / name


def _by_module(folder: Path) -> Classify:
    """Return what classifies a file by model.py, which is executed."""
    path = _needed(folder, "model.py", "try --onnx")
    _needed(folder, "weights.safetensors", "launch/export.py RUN writes it anew, or try --onnx")
    module: Any = import_file(path)
    network, tell = module.load(folder), module.classify

    def classify(path: str) -> Ranking:
        try:
            with Image.open(path) as image:
                found: Ranking = tell(network, image)
        except Exception as error:
            raise Unreadable(str(error).partition("\n")[0] or type(error).__name__) from error
        return found

    return classify


def _by_onnx(folder: Path) -> Classify:
    """Return what classifies a file by model.onnx and config.json."""
    try:
        network = OnnxNetwork(_needed(folder, "model.onnx", "go without --onnx").read_bytes())
    except ImportError as error:
        raise UserError("--onnx: onnxruntime is not installed; pip install onnxruntime") from error
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    rules = config["preprocessing"]
    size = rules["resolution"], rules["channels"]
    square = Square(*size, rules.get("bits"), rules.get("ratio", 1.0))
    temperature = config.get("temperature") or 1.0  # as in model.py
    mean, std = (np.array(rules[name], np.float32)[:, None, None] for name in ("mean", "std"))

    def classify(path: str) -> Ranking:
        pixels = decode(lambda: Image.open(path), square)
        if pixels is None:
            raise Unreadable(why_broken(lambda: Image.open(path), square))
        shares_of_white = pixels.astype(np.float32) / np.float32(255)
        logits = (network((shares_of_white - mean)[None] / std)[0] / temperature).tolist()
        powers = [math.exp(logit - max(logits)) for logit in logits]
        shares = zip(config["classes"], (power / sum(powers) for power in powers), strict=True)
        return sorted(shares, key=lambda pair: -pair[1])

    return classify


if __name__ == "__main__":
    run_script(main)
