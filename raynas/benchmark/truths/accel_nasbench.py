"""Accel-NASBench's format: networks of the MnasNet space, trained on ImageNet.

Source: Accel-NASBench (Ahmad et al., arXiv 2404.08005). The file is one JSON list of
{stages: seven times [expansion, kernel, layers], se: seven times whether a stage has
squeeze-excitation, val_top1: [...], params_m}. The space ``mnasnet`` has no squeeze-excitation, so
such rows are left out. MACs are counted here: those that the benchmark reports hold more than
convolutions and the classifier.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from raynas.benchmark.truths.truth import Skips, Truth, in_percent, padded
from raynas.errors import UserError
from raynas.spaces.architecture import Architecture

_STAGES = (  # channels, first stride, most layers (MnasNet: Tan et al., arXiv 1807.11626)
    (16, 1, 3),
    (24, 2, 3),
    (40, 2, 3),
    (80, 2, 3),
    (112, 1, 3),
    (192, 2, 4),
    (320, 1, 3),
)
_BLOCKS = [(kernel, expansion) for kernel in (3, 5) for expansion in (1, 4, 6)]  # candidates 0 to 5
_IDENTITY = 6
_STEM, _HEAD, _CLASSES = 32, 1280, 1000
_SIDE = 224  # pixels
_WANTED = '{"stages": [[6, 3, 1], ...], "se": [false, ...], "val_top1": [58.5], "params_m": 2.57}'

Stages = Sequence[tuple[int, int, int]]


class _Record(NamedTuple):
    stages: Stages
    has_excitation: bool
    trainings: tuple[float, ...]
    params: int


def read_accel(rows: Sequence[Any], where: str) -> Truth:
    """Return what a JSON list of networks says of those that the space ``mnasnet`` has.

    Args:
        rows: The list.
        where: The file, for messages.

    Raises:
        UserError: It is of another form, or all of its networks have squeeze-excitation.
    """
    records = [_read_record(number, row, where) for number, row in enumerate(rows)]
    kept = [record for record in records if not record.has_excitation]
    if not kept:
        raise UserError(
            f"truth file {where}: got no network without squeeze-excitation in {len(rows)} rows, "
            f"wanted networks of the space mnasnet: [{_WANTED}, ...]"
        )
    percent = iter(in_percent([each for row in kept for each in row.trainings], where).tolist())
    trainings: dict[Architecture, list[float]] = {}
    params: dict[Architecture, int] = {}
    macs: dict[Architecture, int] = {}
    for record in kept:
        key = _architecture(record.stages)
        trainings.setdefault(key, []).extend(next(percent) for _ in record.trainings)
        params[key], macs[key] = record.params, count_macs(record.stages)
    return Truth(
        name=where,
        architectures=tuple(trainings),
        network=np.arange(len(trainings)),
        accuracy=np.array([np.mean(each) for each in trainings.values()]),
        repeats=padded(list(trainings.values())),
        skips=_skips(),
        macs=np.array(list(macs.values()), dtype=np.float64),
        params=np.array(list(params.values()), dtype=np.float64),
        notes=_notes(len(rows) - len(kept)),
    )


def _notes(left_out: int) -> tuple[str, ...]:
    counted = f"MACs are counted at {_SIDE} x {_SIDE} pixels"
    return (
        (f"left out: {left_out:,} rows with squeeze-excitation", counted)
        if left_out
        else (counted,)
    )


def _skips() -> Skips:
    """Return identity for all layers but the first of each stage."""
    return tuple(
        _IDENTITY if layer else None for _, _, layers in _STAGES for layer in range(layers)
    )


def _architecture(stages: Stages) -> Architecture:
    """Return a candidate per layer: a stage repeats one, and identity where it ends early."""
    return Architecture(
        _BLOCKS.index((kernel, expansion)) if layer < layers else _IDENTITY
        for (expansion, kernel, layers), (_, _, most) in zip(stages, _STAGES, strict=True)
        for layer in range(most)
    )


def count_macs(stages: Stages, side: int = _SIDE) -> int:
    """Return the multiply-adds of convolutions and classifier.

    Args:
        stages: Expansion, kernel and layers of each.
        side: Of the images, in pixels.
    """
    side = math.ceil(side / 2)
    total, arriving = side**2 * 3 * 9 * _STEM, _STEM
    for (expansion, kernel, layers), (channels, first, _) in zip(stages, _STAGES, strict=True):
        for stride in (first, *[1] * (layers - 1)):
            hidden, after = arriving * expansion, math.ceil(side / stride)
            if expansion > 1:
                total += side**2 * arriving * hidden
            total += after**2 * (hidden * kernel**2 + hidden * channels)
            arriving, side = channels, after
    return total + side**2 * arriving * _HEAD + _HEAD * _CLASSES


def _read_record(number: int, row: Any, where: str) -> _Record:
    try:
        stages = [(int(e), int(k), int(n)) for e, k, n in row["stages"]]
        is_known = len(stages) == len(row["se"]) == len(_STAGES) and all(
            (kernel, expansion) in _BLOCKS and 1 <= layers <= most
            for (expansion, kernel, layers), (_, _, most) in zip(stages, _STAGES, strict=True)
        )
        trainings = tuple(map(float, row["val_top1"]))
        record = _Record(stages, any(row["se"]), trainings, round(float(row["params_m"]) * 1e6))
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        is_known = False
    if not is_known or not trainings:
        raise UserError(
            f"truth file {where}: row {number} is no network of the space mnasnet; wanted {_WANTED}"
        )
    return record
