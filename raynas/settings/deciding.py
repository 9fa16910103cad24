"""Which settings decide a run's result, and what older runs had in place of newer ones."""

import hashlib
import json
from typing import Any

from raynas.settings.older_names import named_before

# Who computes and how safely, not what: these may change when a run is continued.
FREE = frozenset(
    {
        "images.in-memory",
        "images.cache",
        "images.loader-workers",
        "pretrain.workers",
        "pretrain.gpus-per-worker",
        "pretrain.transport",
        "pretrain.recompute",
        "pretrain.checkpoint-seconds",
        "search.concurrent",
        "retrain.max-failures",
        "retrain.checkpoint-seconds",
        "retrain.gpus-per-trial",
        "retrain.concurrent",
        "export.int8",
        "export.max-drop",
    }
)


# Defaults of settings that older runs did not have: their folders keep their names.
LATER = {
    ("search.path-bonus", 0.0),
    ("images.parts", None),
    ("images.bits", None),
    ("images.verify", False),
    ("images.colour-jitter", 0.0),
    ("images.crop-area", 0.08),
    ("images.crop-aspect", 1.3333),
    ("images.evaluation-ratio", None),
    ("retrain.compile", False),
    ("architecture", ()),
    ("rivals", "auto"),
    ("recipe", None),
    ("images.lighting", 0.0),
    ("retrain.optimiser", "sgd"),
    ("retrain.schedule", "cosine"),
    ("retrain.schedule-decay", 0.97),
    ("retrain.warmup-epochs", 0.0),
    ("retrain.nesterov", True),
    ("retrain.decayed", "weights"),
    ("retrain.recalibration-batches", 0),
    ("retrain.mixup", 0.0),
    ("retrain.cutmix", 0.0),
    ("retrain.augment", "none"),
    ("retrain.random-erasing", 0.0),
    ("retrain.cutout", 0),
    ("retrain.auxiliary", 0.0),
    ("retrain.class-weights", "none"),
    ("retrain.inherited-factor", 1.0),
    ("retrain.teacher", None),
    ("retrain.teacher-weight", 0.5),
    ("retrain.temperature", 2.0),
    ("retrain.on", "train"),
    ("retrain.final-k", 1),
    ("pretrain.bins-from", None),
    ("pretrain.bins-to", None),
    ("pretrain.bin-width", None),
    ("pretrain.last-rate", 0.0),
    ("pretrain.dropout", 0.0),
    ("search.recalibration-batch", None),
    ("min-macs", None),
    ("min-params", None),
    ("start", None),
    ("budget", None),
    ("retrain.seen", None),
    ("retrain.least-steps", 0),
}


# Defaults that were others in older runs, which are continued with what they recorded.
_FORMER = {("rivals", "none", "auto")}


def differ(name: str, recorded: Any, now: Any) -> bool:
    """Return whether a setting is another one than a run has recorded.

    Args:
        name: Its flag without dashes before it.
        recorded: What the run had.
        now: What is asked for. Today's default in place of an older one asks for nothing else.
    """
    return bool(recorded != now) and (name, recorded, now) not in _FORMER


def digest_of(tree: dict[str, Any], is_differentiable: bool) -> str:
    """Return six letters that differ where the results of settings do.

    Args:
        tree: The settings, as they are recorded.
        is_differentiable: Whether the search's strategy is; else its settings decide nothing.
    """
    deciding = {
        name: value
        for name, value in named_before(flat(tree)).items()
        if name not in FREE
        and (is_differentiable or not name.startswith("differentiable."))
        and (name, tuple(value) if isinstance(value, list) else value) not in LATER
    }
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()[:6]


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the settings of a tree by the names of their flags, such as ``retrain.top-k``."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key.replace('_', '-')}"
        found |= flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return found
