"""Figures of what was trained: losses, curves of retraining, gains before it, times."""

from collections.abc import Mapping

import pandas as pd

from raynas.costs.costs import show_seconds
from raynas.reporting import plot_style
from raynas.reporting.figures.curves import (
    TRIAL_LABELS,
    draw_pretraining,
    draw_trials,
    order_trials,
    trial_entry,
)
from raynas.reporting.figures.isometry import draw_gains
from raynas.reporting.figures.times import draw_times
from raynas.reporting.page.embedding import PageFigure, page_figure
from raynas.reporting.page.parts import is_missing, percent
from raynas.storage.usage import StageUsage

_MOST_DRAWN = 50  # retrained networks


def losses(steps: pd.DataFrame) -> PageFigure:
    """Return the loss of the pretraining: every step's, and its running mean."""
    window = max(1, len(steps) // 50)
    first, last = steps["loss"].iloc[:window].mean(), steps["loss"].iloc[-window:].mean()
    told = f"{len(steps):,} steps; the loss went from {first:.3f} to {last:.3f} nats"
    if window > 1:
        told += f", means of {window:,} steps"
    alt = f"Line chart of the pretraining loss: {told}."
    return page_figure(
        "Pretraining of the supernet", alt, f"{told}.", lambda axes: draw_pretraining(axes, steps)
    )


def curves(trials: pd.DataFrame, ranks: Mapping[str, int]) -> list[PageFigure]:
    """Return accuracy and loss of retraining by epoch, the best networks in colours."""
    order = order_trials(trials, ranks)
    drawn, num_named = order[:_MOST_DRAWN], len(plot_style.PALETTE)
    entries = [
        trial_entry(place, f"rank {ranks[name]}" if name in ranks else name)
        for place, name in enumerate(drawn[:num_named])
    ]
    if len(drawn) > num_named:
        entries.append(trial_entry(num_named, f"{len(drawn) - num_named} more"))
    left = len(order) - len(drawn)
    rest = f" {left:,} further networks are not drawn." if left else ""
    told = f"{len(order):,} networks, up to {trials['epoch'].max()} epochs"
    highest = float(trials["val_accuracy"].max())
    top = f"the highest validation accuracy of an epoch is {percent(highest)}"
    coloured = trials[trials["architecture"].isin(drawn[:num_named])].sort_values("epoch")
    ends = coloured.groupby("trial")["train_loss"].last()
    sentences = {
        "val_accuracy": f"{told}; {top}.{rest}",
        "train_loss": f"At the end it lies between {ends.min():.3f} and {ends.max():.3f} nats for "
        "those in colours.",
    }
    return [
        page_figure(
            TRIAL_LABELS[column].partition(" (")[0],
            f"Line chart of {TRIAL_LABELS[column].partition(' (')[0].lower()} by epoch: {told}. "
            f"{sentence}",
            sentence,
            lambda axes, column=column: draw_trials(axes, trials, drawn, column),  # type: ignore[misc]
            entries=entries,
            is_half=True,
        )
        for column, sentence in sentences.items()
        if column == "train_loss" or not is_missing(highest)  # where all images were trained on
    ]


def gains(rows: pd.DataFrame) -> list[PageFigure]:
    """Return the mean squared singular values of candidates' Jacobians, with and without norms.

    Args:
        rows: What ``raynas.reporting.queries.measured_candidates`` returns.
    """
    found = []
    for has_norms, title in ((True, "With batch norms"), (False, "Without batch norms")):
        part = rows[(rows["batch_norm"] == has_norms) & (rows["phi"] > 0)]
        if len(part):
            found.append(_gain(part, title))
    return found


def _gain(part: pd.DataFrame, title: str) -> PageFigure:
    ranges = part.groupby("initialisation", sort=False)["phi"].agg(["min", "max"])
    spreads = [f"{name} {low:.3g} to {high:.3g}" for name, low, high in ranges.itertuples()]
    told = f"phi by layer: {', '.join(spreads)}; the line is 1"
    alt = f"Scatter plot of candidates' gains, {title.lower()}. {told}."
    sentence = f"{told[:1].upper()}{told[1:]}."
    return page_figure(title, alt, sentence, lambda axes: draw_gains(axes, part), is_half=True)


def times(expected: Mapping[str, StageUsage], spent: Mapping[str, StageUsage]) -> PageFigure:
    """Return what each stage took beside the range that was forecast."""
    taken = {name: spent[name].seconds for name in expected if name in spent}
    told = "; ".join(
        f"{name} {show_seconds(of.seconds)} forecast, "
        f"{show_seconds(taken[name]) + ' taken' if name in taken else 'not ended'}"
        for name, of in expected.items()
    )
    alt = f"Chart of the time of each stage: {told}."
    return page_figure(
        "Time by stage",
        alt,
        "",
        lambda axes: draw_times(axes, expected, taken),
        height=0.7 + 0.4 * len(expected),
    )
