"""Compare the order in which runs put networks with the networks' true accuracies.

    python analysis/ranking.py RUN... --truth FILE [--json]

FILE is in NAS-Bench-Macro's format. Kendall's tau and Spearman's rho are taken over all its
networks, within equal depth, and within quarters by MACs; beside them stand trivial scores and
the noise ceiling. Accuracies are percentages and regrets points, with --json as well.
"""

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import tyro
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator
from rich import box
from rich.console import Console
from rich.table import Table

from raynas import figures
from raynas.errors import UserError
from raynas.search import ranking, recorded
from raynas.search.indicators import AdditiveScorer, score_table
from raynas.search.truth import Truth, read_truth, with_costs
from raynas.settings import Score, SearchSettings
from raynas.space import SearchSpace
from raynas.store import RunStore

Array = npt.NDArray[np.float64]
_MOST_DRAWN = 6  # runs


@dataclass(frozen=True)
class Options:
    """Rank correlation and regret of runs' scores, beside yardsticks and the noise ceiling."""

    runs: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="RUN...", help_behavior_hint="(at least one)"),
    ]
    """Run folders: local paths or URIs such as s3://bucket/run."""
    truth: Annotated[str, tyro.conf.arg(metavar="FILE")]
    """True accuracies of the runs' space: a local path or a URI."""
    score: Score | None = None
    """Score to rank by; unset: each run's own."""
    json: bool = False
    """Print one JSON object instead; accuracies in percent, regrets in points."""
    figure: figures.Place = field(default_factory=figures.Place)


def _content(file: str) -> bytes:
    folder, _, name = file.rpartition("/")
    try:
        return RunStore(folder or ("/" if file.startswith("/") else ".")).read_bytes(name)
    except OSError as error:
        raise UserError(f"truth file {file}: cannot be read; check the path") from error


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print agreement at large, in each part, and the accuracy that is reached."""
    truth, rows = comparison.truth, comparison.rows
    trainings = truth.repeats.shape[1]
    console.print(
        f"{len(truth.accuracy):,} networks from {len(truth.architectures):,} architectures, "
        f"{max(1, trainings)} training{'s' * (trainings > 1)} each; [] holds 95 % of the random "
        "draws, or is the bootstrap interval of a mean over runs",
        markup=False,
    )
    parts = ranking.parts(truth)
    at_large = {"tau": "tau", "rho": "rho"}
    for group, title in (("depth", "depth"), ("macs", "MACs")):
        if parts.get(group):
            at_large |= {f"{k}_{group}": f"{k} in {title}" for k in ("tau", "rho")}
    console.print(_table("rank agreement", rows, at_large, "{:.3f}"))
    for group, title in (("depth", "depth"), ("macs", "MACs quarter")):
        columns = {
            f"tau_{group}_{name}": f"{name} (n={len(members)})"
            for name, members in parts.get(group, {}).items()
        }
        if columns:
            console.print(_table(f"tau in {title}", rows, columns, "{:.2f}"))
    budgets = [name for name in ranking.BUDGETS if f"regret_{name}" in rows[0].estimate.mean]
    reached = {f"accuracy_{name}": f"<= {name}" for name in budgets}
    regrets = {f"regret_{name}": f"regret {name}" for name in budgets}
    named = {key: title.replace("<= any", "any") for key, title in (reached | regrets).items()}
    best = Row("true best", "ceiling", ranking.Estimate(_best(truth)))
    choosing = [best, *(row for row in rows if row.kind != "ceiling")]
    console.print(_table("first choice: true %", choosing, named, "{:.2f}"))


def _best(truth: Truth) -> ranking.Measures:
    """Return what one would reach who knew the truth."""
    return ranking.first_choices(truth.accuracy, truth)


def _table(title: str, rows: Sequence[Row], columns: dict[str, str], form: str) -> Table:
    """Return a table of measures; a dash where there is none, intervals for few columns."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column(title, no_wrap=True)
    for heading in columns.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        cells = [_cell(row.estimate, key, form, len(columns) <= 6) for key in columns]
        table.add_row(row.name, *cells)
    return table


def _cell(estimate: ranking.Estimate, key: str, form: str, is_wide: bool) -> str:
    value = estimate.mean.get(key, math.nan)
    if not math.isfinite(value):
        return "-"
    if not is_wide or estimate.low is None or estimate.high is None:
        return form.format(value)
    return rf"{form.format(value)} \[{estimate.low[key]:.2f}, {estimate.high[key]:.2f}]"


def to_json(comparison: Comparison, figure: str) -> str:
    """Return the comparison as one JSON object; NaN becomes null, for JSON has none."""
    truth = comparison.truth
    told = {
        "architectures": len(truth.architectures),
        "networks": len(truth.accuracy),
        "trainings": truth.repeats.shape[1],
        "parts": {
            group: {name: len(indices) for name, indices in members.items()}
            for group, members in ranking.parts(truth).items()
        },
        "rows": [
            {"name": row.name, "kind": row.kind}
            | {name: _plain(getattr(row.estimate, name)) for name in ("mean", "low", "high")}
            for row in comparison.rows
        ],
        "best": _plain(_best(truth)),
        "figure": figure,
    }
    return json.dumps(told, indent=2, allow_nan=False)


def _plain(measures: ranking.Measures | None) -> dict[str, Any] | None:
    if measures is None:
        return None
    return {name: value if math.isfinite(value) else None for name, value in measures.items()}


@figures.drawing
def draw(comparison: Comparison) -> Figure:
    """Return true accuracies over scores, a panel per run; colours are depths."""
    count = min(len(comparison.scores), _MOST_DRAWN)
    columns = min(count, 3)
    height = -(-count // columns)
    figure = Figure(figsize=(1.6 + 4.4 * columns, 0.4 + 3.9 * height), layout="constrained")
    panels = figure.subplots(height, columns, squeeze=False, sharey=True).ravel()
    depth = comparison.truth.depth
    norm = BoundaryNorm(np.arange(depth.min() - 0.5, depth.max() + 1), 256)
    for axes, scores, row in zip(panels, comparison.scores, comparison.rows, strict=False):
        _draw_scores(axes, scores, comparison.truth, norm)
        mean = row.estimate.mean
        axes.set_title(
            f"{row.name}\ntau {mean['tau']:.3f}, within equal depth {mean['tau_depth']:.3f}"
        )
    for axes in panels[count:]:
        axes.set_visible(False)
    figure.colorbar(
        ScalarMappable(norm, "viridis"), ax=list(panels), label="Depth (layers that are not 0)",
        ticks=np.unique(depth), fraction=0.05,
    )  # fmt: skip
    if count < len(comparison.scores):
        figure.suptitle(f"The first {count} of {len(comparison.scores)} runs", x=0.01, ha="left")
    return figure


def _draw_scores(axes: Axes, scores: Array, truth: Truth, norm: BoundaryNorm) -> None:
    """Draw one run's networks; the axis of accuracy spreads by the logarithm of the error."""
    known = np.isfinite(scores)
    axes.scatter(
        scores[known], truth.accuracy[known], c=truth.depth[known], s=9, cmap="viridis", norm=norm,
        alpha=0.8, linewidths=0, rasterized=True,
    )  # fmt: skip
    axes.set_yscale(
        "function",
        functions=(
            lambda accuracy: -np.log(np.maximum(100 - accuracy, 0.05)),
            lambda height: 100 - np.exp(-height),
        ),
    )
    low, high = truth.accuracy.min(), truth.accuracy.max()
    ticks = [50, 60, 70, 80, 85, 90, 92, 94, 96, 98, 99]
    axes.yaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("Score" if known.all() else f"Score ({(~known).sum()} networks have none)")
    axes.set_ylabel("True accuracy (%)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the comparison, save the figure and return the exit code."""
    options = tyro.cli(
        Options, args=arguments, description=__doc__,
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
    )  # fmt: skip
    try:
        stores = figures.open_runs(options.runs)
        comparison = compare(stores, options.truth, options.score)
        path = figures.save(draw(comparison), stores[0], "ranking", options.figure)
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(to_json(comparison, path))
    else:
        console = Console(highlight=False)
        print_comparison(comparison, console if console.is_terminal else Console(width=200))
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
