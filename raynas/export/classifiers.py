"""What tells the class of an image by the files of an export: module, ONNX, or ONNX in INT8."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from raynas.data.decoding import Square, decode, why_broken
from raynas.data.encoded_images import Opener
from raynas.errors import UserError
from raynas.export.module_source import import_file
from raynas.storage.uris import shown
from raynas.training.onnx_network import OnnxNetwork

Kind = Literal["module", "onnx", "int8"]
FILES: dict[Kind, str] = {"module": "model.py", "onnx": "model.onnx", "int8": "model.int8.onnx"}
"""The file of an export that each kind of classifier reads."""
Ranking = list[tuple[str, float]]
Classify = Callable[[Opener], Ranking]
"""Returns the classes of an image with their probabilities, the most probable first."""
_OTHER: dict[Kind, str] = {
    "module": "try --with onnx",
    "onnx": "go without --with onnx",
    "int8": "go without --with int8",
}


class Unreadable(Exception):  # noqa: N818 - what it is, not how
    """Why an image could not be read."""


def classifier(folder: Path, kind: Kind, export: str) -> Classify:
    """Return what classifies an image by an export; a module is executed, an ONNX file is not.

    Args:
        folder: Where the export lies.
        kind: Which of its files is used.
        export: Its name, for messages.

    Raises:
        UserError: A file is missing, or what it holds is no network.
    """
    try:
        return _by_module(folder) if kind == "module" else _by_onnx(folder, kind)
    except UserError:
        raise
    except Exception as error:  # whatever is raised by a file that is cut off, or was edited
        why = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise UserError(
            f"export {shown(export)}: {FILES[kind]} and what it reads cannot be loaded ({why}); "
            f"launch/export.py RUN writes it anew, or {_OTHER[kind]}"
        ) from error


def _needed(folder: Path, name: str, otherwise: str) -> Path:
    if not (folder / name).is_file():
        raise UserError(f"export {folder.name}: it has no {name}; {otherwise}")
    return folder / name


def _by_module(folder: Path) -> Classify:
    """Return what classifies an image by model.py, which is executed."""
    path = _needed(folder, "model.py", _OTHER["module"])
    hint = f"launch/export.py RUN writes it anew, or {_OTHER['module']}"
    _needed(folder, "weights.safetensors", hint)
    module: Any = import_file(path)
    network, tell = module.load(folder), module.classify

    def classify(opener: Opener) -> Ranking:
        try:
            with opener() as image:
                found: Ranking = tell(network, image)
        except Exception as error:
            raise Unreadable(str(error).partition("\n")[0] or type(error).__name__) from error
        return found

    return classify


def _by_onnx(folder: Path, kind: Kind) -> Classify:
    """Return what classifies an image by an ONNX file and config.json."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    path = _needed(folder, FILES[kind], _why_left_out(config, kind) + _OTHER[kind])
    try:
        network = OnnxNetwork(path.read_bytes())
    except ImportError as error:
        raise UserError(
            f"--with {kind}: onnxruntime is not installed; pip install onnxruntime"
        ) from error
    rules = config["preprocessing"]
    size = rules["resolution"], rules["channels"]
    square = Square(*size, rules.get("bits"), rules.get("ratio", 1.0))
    temperature = config.get("temperature") or 1.0  # as in model.py
    mean, std = (np.array(rules[name], np.float32)[:, None, None] for name in ("mean", "std"))

    def classify(opener: Opener) -> Ranking:
        pixels = decode(opener, square)
        if pixels is None:
            raise Unreadable(why_broken(opener, square))
        shares_of_white = pixels.astype(np.float32) / np.float32(255)
        logits = (network((shares_of_white - mean)[None] / std)[0] / temperature).tolist()
        powers = [math.exp(logit - max(logits)) for logit in logits]
        shares = zip(config["classes"], (power / sum(powers) for power in powers), strict=True)
        return sorted(shares, key=lambda pair: -pair[1])

    return classify


def _why_left_out(config: Any, kind: Kind) -> str:
    """Return why an export has no such file, as far as it says that."""
    why = config.get("left_out", {}).get(FILES[kind])
    return f"{why}; " if why else ""
