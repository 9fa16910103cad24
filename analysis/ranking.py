"""Compare the order in which runs put networks with the networks' true accuracies.

    python analysis/ranking.py RUN... --truth FILE [--path-bonus 0,0.3,1] [--json]

FILE is in NAS-Bench-Macro's format. Kendall's tau and Spearman's rho are taken over all its
networks, within equal depth, and within quarters by MACs; beside them stand trivial scores and
the noise ceiling, on the same networks. Accuracies are percentages and regrets points. A score
that is no formula of indicators is known of what the search visited alone: a biased sample.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
import numpy.typing as npt
import tyro
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator
from rich.console import Console

from raynas.benchmark import ranking
from raynas.benchmark.comparison import Comparison, Row, compare
from raynas.benchmark.truth import Truth, read_content
from raynas.errors import UserError
from raynas.reporting import plot_style
from raynas.settings.scores import IndicatorScore
from raynas.terminal.cli import exit_code, make_console, run_script
from raynas.terminal.json_text import json_text
from raynas.terminal.text_tables import Column, TextTable

Array = npt.NDArray[np.float64]
_MOST_DRAWN = 6  # runs
_TICKS = (10, 30, 50, 60, 70, 80, 85, 90, 92, 93, 94, 95, 96, 97, 98, 99)  # percent


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
    score: IndicatorScore | None = None
    """Score that the runs' indicators are made into; unset: each run's own score."""
    path_bonus: str | None = None
    """Weights of the path bonus, with commas between: every run with each; unset: its own."""
    json: bool = False
    """Print one JSON object instead; accuracies in percent, regrets in points."""
    figure: plot_style.Place = field(default_factory=plot_style.Place)


def parse_weights(text: str) -> list[float]:
    """Return the weights that a text such as 0,0.3,1 lists.

    Raises:
        UserError: One is no number of at least 0.
    """
    try:
        weights = list(map(float, text.split(",")))
    except ValueError:
        weights = [math.nan]
    if not all(0 <= weight < math.inf for weight in weights):
        raise UserError(f"--path-bonus {text}: wanted numbers of at least 0, such as 0,0.3,1")
    return weights


def notes(comparison: Comparison) -> list[str]:
    """Return what a reader of the numbers must know: of which networks they are."""
    truth, visited = comparison.truth, comparison.visited
    networks, keys = len(truth.accuracy), len(truth.architectures)
    trainings = truth.repeats.shape[1]
    found = [f"{networks:,} networks from {keys:,} architectures; trainings of each: {trainings}"]
    if comparison.left_out:
        found.append(f"left out: {comparison.left_out:,} architectures without a score in some run")
    if visited:
        found.append(
            "biased sample: these are architectures that a search visited, the only ones with a "
            f"score of {'; '.join(visited)}; compare rows of this output with each other alone"
        )
    return found


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print agreement at large, in each part, and the accuracy that is reached."""
    rows = comparison.rows
    best = Row("true best", "ceiling", ranking.Estimate(_best(comparison.truth)))
    choosing = [row for row in rows if row.kind != "ceiling"]
    reached = {name: name if name == "any" else f"<= {name}" for name in ranking.BUDGETS}
    for note in notes(comparison):
        console.print(note, markup=False)
    console.print()
    console.print(_table("rank agreement", rows, _AT_LARGE, "{: .3f}"))
    for group, members in ranking.parts(comparison.truth).items():
        columns = {f"tau_{group}_{k}": f"{k} (n={len(v)})" for k, v in members.items()}
        console.print()
        console.print(_table(f"tau within {_TITLES[group]}", rows, columns, "{: .2f}"))
    for measure, title, chosen in (
        ("accuracy", "first choice, true %", [best, *choosing]),
        ("regret", "regret, points", choosing),
        ("regret3", "regret of the best of three", choosing),
    ):
        columns = {f"{measure}_{name}": text for name, text in reached.items()}
        console.print()
        console.print(_table(title, chosen, columns, "{: .2f}"))
    console.print()
    console.print(_LEGEND, markup=False)


_TITLES = {"depth": "depth", "macs": "MACs quarter"}
_AT_LARGE = {"tau": "tau", "rho": "rho"} | {
    f"{statistic}_{group}": f"{statistic} within {title}"
    for group, title in _TITLES.items()
    for statistic in ("tau", "rho")
}
_LEGEND = """\
tau is Kendall's tau-b, rho Spearman's; within depth and MACs quarter: the mean over those below.
[95 % intervals]: of 200 draws of random positive scores (0 for choice 0), or of the mean over runs
when runs are drawn again (bootstrap)."""


def _best(truth: Truth) -> ranking.Measures:
    """Return what one would reach who knew the truth."""
    return ranking.first_choices(truth.accuracy, truth)


def _table(title: str, rows: Sequence[Row], columns: dict[str, str], form: str) -> TextTable:
    """Return a table of measures; intervals stand beside them if the columns are few."""
    shown = [Column(title, folds=True)]
    shown += [Column(f" {heading}", is_text=True) for heading in columns.values()]  # as a sign
    cells = [
        [row.name, *(_cell(row.estimate, key, form, len(columns) <= 6) for key in columns)]
        for row in rows
    ]
    return TextTable(shown, cells)


def _cell(estimate: ranking.Estimate, key: str, form: str, is_wide: bool) -> str:
    """Return a number and its interval; a dash where there is none."""
    value = estimate.mean.get(key, math.nan)
    if not math.isfinite(value):
        return " -"
    if not is_wide or estimate.low is None or estimate.high is None:
        return form.format(value)
    return f"{form.format(value)} [{estimate.low[key]:.2f}, {estimate.high[key]:.2f}]"


def to_json(comparison: Comparison, figure: str) -> str:
    """Return the comparison as one JSON object; NaN becomes null, for JSON has none."""
    truth = comparison.truth
    told = {
        "notes": notes(comparison),
        "architectures": len(truth.architectures),
        "networks": len(truth.accuracy),
        "left_out": comparison.left_out,
        "trainings": truth.repeats.shape[1],
        "parts": {
            group: {name: len(indices) for name, indices in members.items()}
            for group, members in ranking.parts(truth).items()
        },
        "rows": [
            {"name": row.name, "kind": row.kind}
            | {name: getattr(row.estimate, name) for name in ("mean", "low", "high")}
            for row in comparison.rows
        ],
        "best": _best(truth),
        "figure": figure,
    }
    return json_text(told)


@plot_style.drawing
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
        agreement = f"tau {mean['tau']:.3f}, within equal depth {mean['tau_depth']:.3f}"
        axes.set_title("\n".join([*row.name.split(": ", 1), agreement]))
    for axes in panels[::columns]:
        axes.set_ylabel("True accuracy (%)")
    for axes in panels[count:]:
        axes.set_visible(False)
    figure.colorbar(
        ScalarMappable(norm, "viridis"),
        ax=list(panels),
        label="Depth (layers that are not 0)",
        ticks=np.unique(depth),
        fraction=0.05,
    ).minorticks_off()
    if count < len(comparison.scores):
        figure.suptitle(f"The first {count} of {len(comparison.scores)} runs", x=0.01, ha="left")
    return figure


def _draw_scores(axes: Axes, scores: Array, truth: Truth, norm: BoundaryNorm) -> None:
    """Draw one run's networks; the axis of accuracy spreads by the logarithm of the error."""
    axes.scatter(
        scores,
        truth.accuracy,
        c=truth.depth,
        s=9,
        cmap="viridis",
        norm=norm,
        alpha=0.8,
        linewidths=0,
        rasterized=True,
    )
    axes.set_yscale(
        "function",
        functions=(
            lambda accuracy: -np.log(np.maximum(100 - accuracy, 0.05)),
            lambda height: 100 - np.exp(-height),
        ),
    )
    low, high = truth.accuracy.min(), truth.accuracy.max()
    if len(ticks := [tick for tick in _TICKS if low <= tick <= high]) > 1:
        axes.yaxis.set_major_locator(FixedLocator(ticks))
        axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("Score")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the comparison, save the figure and return the exit code."""
    return exit_code(lambda: _show(arguments), (UserError, OSError))


def _show(arguments: Sequence[str] | None) -> None:
    options = tyro.cli(
        Options,
        args=arguments,
        description=__doc__,
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
    )
    weights = None if options.path_bonus is None else parse_weights(options.path_bonus)
    stores = plot_style.open_runs(options.runs)
    content = read_content(options.truth)
    comparison = compare(stores, content, options.truth, options.score, weights)
    path = plot_style.save(draw(comparison), stores[0], "ranking", options.figure)
    if options.json:
        print(to_json(comparison, path))
    else:
        print_comparison(comparison, make_console())
        print(path)


if __name__ == "__main__":
    run_script(main)
