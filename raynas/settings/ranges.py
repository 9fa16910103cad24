"""The ranges of the settings that are numbers, as intervals that a person can read."""

from collections.abc import Mapping
from typing import Any

from raynas.errors import UserError

GPU_PARTS = 10_000
"""Parts into which Ray cuts a GPU that several share."""
SEEDS = "[0, 2^63)"
"""Where seeds lie: tables hold whole numbers of 64 bits."""
_GPUS = ("pretrain.gpus-per-worker", "retrain.gpus-per-trial")
_RANGES = {
    "max-macs": "[1, inf)",
    "max-params": "[1, inf)",
    "max-latency": "[1, inf)",
    "seed": SEEDS,
    "check": "[0, inf)",
    "check-epochs": "[1, inf)",
    "images.resolution": "[1, inf)",
    "images.bits": "[8, 16]",
    "images.share": "(0, 1]",
    "images.val-fraction": "(0, 1)",
    "images.test-fraction": "(0, 1)",
    "images.max-corrupt": "[0, 1)",
    "images.loader-workers": "[0, inf)",
    "pretrain.epochs": "[0, inf)",
    "pretrain.batch": "[2, inf)",
    "pretrain.learning-rate": "(0, inf)",
    "pretrain.classifier-rate": "[0, inf)",
    "pretrain.momentum": "[0, 1)",
    "pretrain.weight-decay": "[0, inf)",
    "pretrain.label-smoothing": "[0, 1)",
    "pretrain.clip": "[0, inf)",
    "pretrain.workers": "[1, inf)",
    "pretrain.shards": "[1, inf)",
    "pretrain.cpus-per-worker": "[1, inf)",
    "pretrain.gpus-per-worker": "[0, inf)",
    "pretrain.checkpoint-seconds": "[0, inf)",
    "pretrain.records": "[1, inf)",
    "search.path-bonus": "[0, inf)",
    "search.generations": "[1, inf)",
    "search.population": "[1, inf)",
    "search.parents": "[1, inf)",
    "search.mutations": "[0, inf)",
    "search.crossovers": "[0, inf)",
    "search.mutation-probability": "[0, 1]",
    "search.min-distance": "[1, inf)",
    "search.recalibration-batches": "[1, inf)",
    "search.score-images": "[1, inf)",
    "search.concurrent": "[1, inf)",
    "retrain.top-k": "[1, inf)",
    "retrain.epochs": "[1, inf)",
    "retrain.batch": "[2, inf)",
    "retrain.learning-rate": "(0, inf)",
    "retrain.momentum": "(0, 1)",  # Nesterov's form needs some
    "retrain.weight-decay": "[0, inf)",
    "retrain.label-smoothing": "[0, 1)",
    "retrain.clip": "[0, inf)",
    "retrain.dropout": "[0, 1)",
    "retrain.drop-path": "[0, 1)",
    "retrain.ema-decay": "[0, 1)",
    "retrain.asha-grace-epochs": "[1, inf)",
    "retrain.asha-reduction": "[2, inf)",
    "retrain.max-failures": "[0, inf)",
    "retrain.workers-per-trial": "[1, inf)",
    "retrain.cpus-per-trial": "[1, inf)",
    "retrain.gpus-per-trial": "[0, inf)",
    "retrain.concurrent": "[1, inf)",
}


def refuse_out_of_range(settings: Mapping[str, Any], ranges: Mapping[str, str] = _RANGES) -> None:
    """Refuse numbers outside of their interval; None is in every one.

    Args:
        settings: Values by the names of their flags.
        ranges: Intervals by the same names.

    Raises:
        UserError: Names the setting, what it is and what it must be.
    """
    for name, interval in ranges.items():
        value = settings[name]
        if value is not None and not _inside(value, interval):
            raise UserError(f"--{name}: got {value}, wanted {_words(interval)}")


def refuse_odd_gpus(settings: Mapping[str, Any]) -> None:
    """Refuse GPUs that Ray cannot give: several of which one is cut, or less than a part of one.

    Args:
        settings: Values by the names of their flags.

    Raises:
        UserError: Names the setting, what it is and what it must be.
    """
    for name in _GPUS:
        asked = settings[name] or 0.0
        if asked > 1 and asked != int(asked):
            raise UserError(
                f"--{name} {asked:g}: wanted a whole number, or a share of one GPU; use "
                f"{int(asked)} or {int(asked) + 1}"
            )
        if 0 < asked < 1 / GPU_PARTS:
            raise UserError(
                f"--{name} {asked:g}: wanted 0 or at least {1 / GPU_PARTS:g}, the least share of a "
                "GPU that Ray gives"
            )


def _inside(value: float, interval: str) -> bool:
    """Return whether a number lies in an interval such as (0, 1]; NaN lies in none."""
    low, high = map(_number, interval[1:-1].split(", "))
    above = value > low or (value == low and interval[0] == "[")
    below = value < high or (value == high and interval[-1] == "]")
    return above and below


def _number(text: str) -> float:
    """Return the number that a text such as inf, 0.5 or 2^63 stands for."""
    base, _, power = text.partition("^")
    return float(base) ** int(power or 1)


def _words(interval: str) -> str:
    low, high = interval[1:-1].split(", ")
    if low == "-inf":
        return f"less than {high}"
    if high != "inf":
        return f"a number in {interval}"
    return f"at least {low}" if interval[0] == "[" else f"more than {low}"
