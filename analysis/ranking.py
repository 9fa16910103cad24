"""Compare the order in which runs put networks with the networks' true accuracies.

    python analysis/ranking.py RUN... --truth FILE... [--path-bonus 0,0.3,1] [--json]

A FILE is in NAS-Bench-Macro's or Accel-NASBench's format, or a Parquet or CSV file with the columns
architecture and accuracy; each run is compared on the files of its space. Kendall's tau and
Spearman's rho are taken over all networks of a file, within equal depth, and within quarters by
MACs; beside them stand trivial scores and the noise ceiling, on the same networks. Accuracies are
percentages and regrets points. A score that is no sum over layers is known of what the search
visited alone: a biased sample.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
import numpy.typing as npt
import tyro
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure

from raynas.benchmark.comparison import Comparison, compare
from raynas.benchmark.ranking_text import labels, print_comparisons, to_json
from raynas.benchmark.truths.reading import read_truths
from raynas.costs.costs import parse_quantity
from raynas.errors import UserError
from raynas.reporting import plot_style
from raynas.reporting.figures.ranking import draw_scores
from raynas.settings.scores import IndicatorScore
from raynas.terminal.cli import exit_code, make_console, run_script

Array = npt.NDArray[np.float64]
_MOST_DRAWN = 6  # panels


@dataclass(frozen=True)
class Options:
    """Rank correlation and regret of runs' scores, beside yardsticks and the noise ceiling."""

    runs: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="RUN...", help_behavior_hint="(at least one)"),
    ]
    """Run folders: local paths or URIs such as s3://bucket/run."""
    truth: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="FILE...", help_behavior_hint="(at least one)")
    ]
    """True accuracies of the runs' spaces: local paths or URIs."""
    score: IndicatorScore | None = None
    """Score that the runs' indicators are made into; unset: each run's own score."""
    path_bonus: str | None = None
    """Weights of the path bonus, with commas between: every run with each; unset: its own."""
    limits: str | None = None
    """Limits on MACs for first choices, such as 40M,50M; unset: the quartiles of each file."""
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


def parse_limits(text: str) -> list[float]:
    """Return the limits that a text such as 40M,50M lists.

    Raises:
        UserError: One is no positive quantity.
    """
    try:
        return [float(parse_quantity(limit)) for limit in text.split(",")]
    except UserError as error:
        raise UserError(f"--limits {text}: {error}") from error


@plot_style.drawing
def draw(comparisons: Sequence[Comparison]) -> Figure:
    """Return true accuracies over scores, a panel per run and truth; colours are depths."""
    several = len(comparisons) > 1
    shown = [
        (label, comparison, at)
        for label, comparison in zip(labels(comparisons), comparisons, strict=True)
        for at in range(len(comparison.scores))
    ]
    count = min(len(shown), _MOST_DRAWN)
    columns = min(count, 3)
    height = -(-count // columns)
    figure = Figure(figsize=(1.6 + 4.4 * columns, 0.4 + 3.9 * height), layout="constrained")
    panels = figure.subplots(height, columns, squeeze=False, sharey=not several).ravel()
    norm = _depth_norm(comparisons)
    for axes, (label, comparison, at) in zip(panels, shown, strict=False):
        truth, mean = comparison.truth, comparison.rows[at].estimate.mean
        draw_scores(axes, comparison.scores[at], truth.accuracy, truth.depth, norm)
        agreement = f"tau {mean['tau']:.3f}"
        if "tau_depth" in mean:
            agreement += f", within equal depth {mean['tau_depth']:.3f}"
        heading = [label] if several else []
        axes.set_title("\n".join([*heading, *comparison.rows[at].name.split(": ", 1), agreement]))
    for axes in panels[::columns]:
        axes.set_ylabel("True accuracy (%)")
    for axes in panels[count:]:
        axes.set_visible(False)
    if norm is not None:
        figure.colorbar(
            ScalarMappable(norm, "viridis"),
            ax=list(panels),
            label="Depth (layers that are not skipped)",
            ticks=np.round((norm.boundaries[:-1] + norm.boundaries[1:]) / 2),
            fraction=0.05,
        ).minorticks_off()
    if count < len(shown):
        figure.suptitle(f"The first {count} of {len(shown)} runs", x=0.01, ha="left")
    return figure


def _depth_norm(comparisons: Sequence[Comparison]) -> BoundaryNorm | None:
    """Return the colours of all depths; None: nobody knows any."""
    depths = [each.truth.depth for each in comparisons if each.truth.depth is not None]
    if not depths:
        return None
    every = np.concatenate(depths)
    return BoundaryNorm(np.arange(every.min() - 0.5, every.max() + 1), 256)


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
    limits = None if options.limits is None else parse_limits(options.limits)
    stores = plot_style.open_runs(options.runs)
    if not options.truth:
        raise UserError("--truth: got no file, wanted at least one of true accuracies")
    truths = list(map(read_truths, options.truth))
    comparisons = compare(stores, truths, options.score, weights, limits)
    path = plot_style.save(draw(comparisons), stores[0], "ranking", options.figure)
    if options.json:
        print(to_json(comparisons, path))
    else:
        print_comparisons(comparisons, make_console())
        print(path)


if __name__ == "__main__":
    run_script(main)
