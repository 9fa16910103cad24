"""Rows of the tables, made of what the stages found."""

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from raynas import __version__
from raynas.costs.costs import CostTable, Kind
from raynas.nets.isometry import Isometry
from raynas.search import pareto
from raynas.search.calibration import Calibration
from raynas.search.evolution import Scored
from raynas.search.formulas import Array
from raynas.search.indicators import Indicators
from raynas.settings.settings import Settings
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import SearchSpace
from raynas.storage.outcome_rows import in_order, is_on_all
from raynas.storage.plan_facts import PlanFacts

Rows = list[dict[str, Any]]
_PACKAGES = ("torch", "torchvision", "ray", "numpy", "pyarrow")
_REPOSITORY = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX"}


def run_row(run: str, settings: Settings, plan: PlanFacts) -> dict[str, Any]:
    """Return the row of ``runs`` for a run that begins now."""
    return {
        "run": run,
        "space": settings.space,
        "settings": settings.to_json(),
        "method": settings.method,
        "seed": settings.seed,
        "versions": json.dumps(versions(*_PACKAGES)),
        "git_commit": git_commit(),
        "started": datetime.now(UTC),
        "finished": None,
        "plan": plan.to_json(),
    }


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of Python, of raynas as it runs, and of those packages that there are.

    A cluster's nodes may run raynas from an uploaded folder, beside or without an installation.
    """
    found = {name: metadata.version(name) for name in packages if _is_installed(name)}
    return {"python": platform.python_version(), "raynas": __version__, **found}


def _is_installed(package: str) -> bool:
    """Return whether a package is installed."""
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def git_commit(file: Path = Path(__file__)) -> str | None:
    """Return the commit of the source tree, or None outside of one.

    A repository that raynas merely lies in, as in an environment below it, says nothing of raynas.

    Args:
        file: This one, which the repository must hold where raynas has it.
    """
    place = Path(__name__.replace(".", "/")).with_suffix(".py")
    held = _git(file.parent, "ls-files", "--full-name", "--error-unmatch", file.name)
    return _git(file.parent, "rev-parse", "HEAD") if held == place.as_posix() else None


def _git(folder: Path, *words: str) -> str | None:
    """Return what git says about a folder, whatever repository a hook or a shell has named."""
    own = {name: value for name, value in os.environ.items() if name not in _REPOSITORY}
    command = ("git", "-C", str(folder), *words)
    try:
        found = subprocess.run(command, capture_output=True, check=True, env=own)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.decode("ascii").strip()


def ledger_rows(space: SearchSpace, updates: npt.NDArray[np.int64]) -> Rows:
    """Return how often each candidate was updated."""
    return [
        {**candidate, "updates": int(updates[candidate["layer"], candidate["candidate"]])}
        for candidate in _candidates(space)
    ]


def isometry_rows(
    space: SearchSpace,
    measured: Iterable[tuple[int, int, Isometry]],
    initialisation: str,
    batch_norm: bool,
) -> Rows:
    """Return the isometry of each candidate at one initialisation, with or without batch norms."""
    return [
        {
            "layer": layer,
            "candidate": choice,
            "operation": space.blocks[layer].candidates[choice].name,
            "phi": isometry.phi,
            "varphi": isometry.varphi,
            "largest_singular_value": isometry.largest_singular_value,
            "output_variance": isometry.output_variance,
            "initialisation": initialisation,
            "batch_norm": batch_norm,
        }
        for layer, choice, isometry in measured
    ]


def indicator_rows(space: SearchSpace, indicators: Indicators, step: int) -> Rows:
    """Return block and layer indicators after a step; what does not exist has no row."""
    blocks = [
        {
            "step": step,
            **place,
            "kind": kind,
            "value": float(values[place["layer"]][place["candidate"]]),
        }
        for kind, values in (
            ("block", indicators.block),
            ("taylor", indicators.taylor),
            ("saliency", indicators.saliency),
            ("relu_inputs", indicators.relu_inputs),
        )
        for place in _candidates(space)
    ]
    layers = [
        {
            "step": step,
            "layer": layer,
            "candidate": None,
            "operation": "identity",
            "kind": "layer",
            "value": float(value),
        }
        for layer, value in enumerate(indicators.layer)
    ]
    return [row for row in (*blocks, *layers) if np.isfinite(row["value"])]


def score_rows(space: SearchSpace, table: Sequence[Array], step: int, kind: str) -> Rows:
    """Return what each candidate adds to a score, as indicators of a kind.

    Args:
        space: The space.
        table: T[l][i].
        step: The last one of the pretraining.
        kind: score, or calibrated where trainings corrected it.
    """
    rows = [
        {
            "step": step,
            **place,
            "kind": kind,
            "value": float(table[place["layer"]][place["candidate"]]),
        }
        for place in _candidates(space)
    ]
    return [row for row in rows if np.isfinite(row["value"])]


def prediction_rows(calibration: Calibration, left_out: Array) -> Rows:
    """Return what was predicted of each training from the others alone, beside what came."""
    pairs = zip(calibration.observed, left_out, strict=True)
    return [
        {"architecture": str(each), "kind": "left_out", "accuracy": accuracy, **_predicted(row)}
        for (each, accuracy, _), row in pairs
    ]


def winner_rows(calibration: Calibration, winners: Sequence[Architecture]) -> Rows:
    """Return what a short training of each winner would reach, as far as that is known."""
    (weight,) = {weight for _, _, weight in calibration.observed}  # of trainings of one length
    pairs = zip(winners, calibration.accuracies(winners, weight), strict=True)
    return [
        {"architecture": str(each), "kind": "winner", "accuracy": None, **_predicted(row)}
        for each, row in pairs
    ]


def _predicted(row: Array) -> dict[str, float | None]:
    low, middle, high = (float(each) if np.isfinite(each) else None for each in row)
    return {"predicted_accuracy": middle, "predicted_low": low, "predicted_high": high}


def architecture_rows(scored: Sequence[Scored], costs: CostTable) -> Rows:
    """Return what the search scored."""
    rows = []
    for item in scored:
        cost = costs.of(item.child.architecture)
        rows.append(
            {
                "order": item.child.order,
                "generation": item.generation,
                "architecture": str(item.child.architecture),
                "origin": item.child.origin,
                "parents": " ".join(map(str, item.child.parents)),
                "score": None if item.child.origin == "given" else item.score,
                **cost.columns,
            }
        )
    return rows


def ranked_outcomes(rows: Iterable[dict[str, Any]]) -> Rows:
    """Return outcomes with their ranks: finished ones by validation accuracy, failed ones last.

    A network that was trained on all images as well, where no accuracy says anything, has the rank
    of its first training in both of its outcomes.
    """
    rows = list(rows)
    order = {"finished": 0, "stopped": 1, "failed": 2}
    networks = {row["architecture"]: row for row in sorted(rows, key=is_on_all, reverse=True)}
    best_first = sorted(
        networks.values(),
        key=lambda row: (
            order[row["status"]],
            -(row["val_accuracy"] or 0.0),
            -(row["score"] or 0.0),
        ),
    )
    ranks = {row["architecture"]: rank for rank, row in enumerate(best_first, start=1)}
    return in_order({**row, "rank": ranks[row["architecture"]]} for row in rows)


def with_front(rows: Rows, costs: CostTable, goals: Sequence[Kind]) -> Rows:
    """Return outcomes that say whether another one dominates them; None: nothing tells.

    Nothing does of a network that was not trained to its end, nor of its training on all images.

    On the front nothing is at least as accurate on the validation images and as cheap, and better
    in one of them.
    """
    finished = [row for row in rows if row["status"] == "finished" and not is_on_all(row)]
    points = [
        (-row["val_accuracy"], *map(costs.of(Architecture.parse(row["architecture"])).of, goals))
        for row in finished
    ]
    first = next(pareto.fronts(np.array(points, dtype=np.float64)), ())
    best = {finished[place]["architecture"] for place in first}
    return [
        row | {"on_front": row["architecture"] in best if row in finished else None} for row in rows
    ]


def _candidates(space: SearchSpace) -> list[dict[str, Any]]:
    return [
        {"layer": layer, "candidate": choice, "operation": candidate.name}
        for layer, block in enumerate(space.blocks)
        for choice, candidate in enumerate(block.candidates)
    ]
