"""Trained weights of raynas itself: exports, and the best network of a run."""

import json
from collections.abc import Sequence
from typing import Any

import safetensors.torch

from raynas.errors import UserError
from raynas.storage.folder import Folder
from raynas.storage.outcome_rows import networks_of
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.run_store import RunStore
from raynas.training.checkpoints import read_model
from raynas.training.starts.checkpoint_files import read_tensors
from raynas.training.starts.source import (
    Normalisation,
    Source,
    Tensors,
    as_normalisation,
    refuse,
    without_counters,
)

WEIGHTS, CONFIG = "weights.safetensors", "config.json"
"""Files of an export, of which no Python is executed."""


def from_export(text: str) -> Source:
    """Return the weights of an export, normalised as its images were.

    A rival's are returned as those of a file are: its layers are those of another library.

    Raises:
        UserError: One of its files is missing or damaged, or they do not fit each other.
    """
    folder = Folder(text)
    try:
        config: dict[str, Any] = json.loads(folder.read_bytes(CONFIG))
        parts = [part["name"] for part in config["layers"]]
        named = read_tensors(text, WEIGHTS, folder.read_bytes(WEIGHTS))
        prepared, classes = config["preprocessing"], config["classes"]
        space = config["space"]
        architecture = str((space and config.get("network")) or config["architecture"])
        tensors = _renamed(named, parts) if space else _without_part(named)
        normalisation = as_normalisation(prepared["mean"], prepared["std"])
    except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, UserError):
            raise
        refuse(text, f"its {CONFIG} or {WEIGHTS} is missing or damaged; export the network again")
    if space is None and len(parts) > 1:
        refuse(
            text,
            f"it is {architecture}, which was made of a run's start and is a network of no space; "
            "name that run, or another of its exports",
        )
    origin = "an export of raynas"
    if space is None:
        return Source(text, architecture.partition("@")[0], origin, tensors, normalisation)
    return Source(
        text,
        "",
        origin,
        tensors,
        normalisation,
        architecture=architecture,
        space=space,
        said_classes=len(classes),
    )


def from_run(text: str, store: RunStore) -> Source:
    """Return the weights of a run's best network; of one trained on all images at last, these.

    Raises:
        UserError: No network of it was trained to its end, or the weights are lost.
    """
    networks = networks_of(store.rows("outcomes"))
    if not networks:
        refuse(text, "no network of that run was trained to its end; continue it first")
    best, run = networks[0], store.rows("runs")[0]
    facts = PlanFacts.from_json(run["plan"])
    tensors = without_counters(safetensors.torch.load(read_model(store, best["checkpoint"])))
    return Source(
        text,
        "",
        "the best network of a run",
        tensors,
        _normalisation(facts),
        architecture=best["architecture"],
        space=str(run["space"]),
        space_digest=facts.space_digest,
        said_classes=len(facts.classes),
    )


def _normalisation(facts: PlanFacts) -> Normalisation | None:
    if facts.mean is None or facts.std is None:
        return None
    return as_normalisation(facts.mean, facts.std)


def _renamed(tensors: Tensors, parts: Sequence[str]) -> Tensors:
    """Return tensors by a subnet's own names, of which the first part is a number."""
    numbers = {part: str(number) for number, part in enumerate(parts)}
    split = [(*name.partition("."), each) for name, each in tensors.items()]
    return {f"{numbers[part]}.{rest}": each for part, _, rest, each in split}


def _without_part(tensors: Tensors) -> Tensors:
    """Return a rival's tensors by the names that its library gives them."""
    return {name.partition(".")[2]: each for name, each in tensors.items()}
