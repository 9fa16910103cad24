"""Exports as teachers: built by raynas' own code where it can, else from their ONNX file.

Their model.py is never executed.
"""

import json
from dataclasses import replace
from typing import Any

import safetensors.torch
import torch

from raynas.errors import UserError
from raynas.spaces.loading import SPACES, names_in
from raynas.spaces.protocol import Space
from raynas.storage.folder import Folder
from raynas.storage.uris import shown
from raynas.training.teacher_file import TeacherFacts, as_tensor

CONFIG, GRAPH_FILE, WEIGHTS = "config.json", "model.onnx", "weights.safetensors"


def of_export(folder: Folder, source: str, space: Space) -> bytes:
    """Return the teacher's file that an export makes.

    Args:
        folder: Of the export.
        source: As a person named it.
        space: Of the run, which the export's network may be of, too.

    Raises:
        UserError: The export is damaged, or it is of a space that is not there and has no ONNX
            file.
        FileNotFoundError: One of its files is missing.
    """
    try:
        config = config_of(folder)
        facts, known = facts_of(config), _network_of(config, space)
    except (ValueError, LookupError, TypeError) as error:
        raise UserError(
            f"--retrain.teacher {shown(source)}: its {CONFIG} is not that of an export of raynas, "
            "or it is damaged; launch/export.py RUN writes it anew"
        ) from error
    if known is not None:
        weights = safetensors.torch.load(folder.read_bytes(WEIGHTS))
        return replace(facts, **known).packed(_own_names(weights, config))
    if folder.has(GRAPH_FILE):
        return facts.packed(as_tensor(folder.read_bytes(GRAPH_FILE)))
    what, remedy = "a network that was made of a run's start", ""
    if config["space"] is not None:
        what = f"a network of the space {config['space']}, which raynas does not ship"
        remedy = "give --space its file, or "
    raise UserError(
        f"--retrain.teacher {shown(source)}: it is {what}, and the export has no {GRAPH_FILE}; "
        f"{remedy}export it with pip install 'raynas[onnx]'"
    )


def config_of(folder: Folder) -> dict[str, Any]:
    """Return the description of an export.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is no JSON.
    """
    config: dict[str, Any] = json.loads(folder.read_bytes(CONFIG))
    return config


def facts_of(config: dict[str, Any]) -> TeacherFacts:
    """Return what an export says of its images and classes.

    Args:
        config: Its ``config.json``.

    Raises:
        LookupError, TypeError: It is not that of an export.
    """
    rules = config["preprocessing"]
    return TeacherFacts(
        name=f"{config['architecture']} of an export",
        classes=tuple(config["classes"]),
        channels=rules["channels"],
        resolution=rules["resolution"],
        mean=tuple(rules["mean"]),
        std=tuple(rules["std"]),
    )


def _network_of(config: dict[str, Any], space: Space) -> dict[str, Any] | None:
    """Return which network raynas can build of an export; None: its space is not there."""
    if config["space"] is None and len(config["layers"]) > 1:  # made of another run's start
        return None
    if config["space"] is None:  # of a library, in one part
        return {"rival": config["layers"][0]["operation"]}
    settings = config["found_by"]["settings"]
    shipped = settings["space"] if settings["space"] in names_in(SPACES) else None
    architecture = config.get("network") or config["architecture"]  # which a rival has a name for
    if not architecture[:1].isdigit() or (shipped is None and config["space"] != space.name):
        return None
    return {
        "architecture": architecture,
        "space": config["space"],
        "shipped": shipped,
        "layer_indicator": settings["pretrain"]["layer_indicator"],
    }


def _own_names(weights: dict[str, torch.Tensor], config: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Return weights by the names of raynas' networks, whose parts have numbers for names."""
    parts = [layer["name"] for layer in config["layers"]]
    split = [(*name.partition("."), each) for name, each in weights.items()]
    if config["space"] is None:
        return {rest: each for _, _, rest, each in split}
    return {f"{parts.index(part)}.{rest}": each for part, _, rest, each in split}
