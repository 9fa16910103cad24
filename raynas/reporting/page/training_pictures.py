"""Figures of what was trained: losses, curves of retraining, gains before it, times."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from raynas.costs.costs import show_seconds
from raynas.reporting.page.axes import Axis, spanning
from raynas.reporting.page.chart import NUM_LOOKS, Chart, key
from raynas.reporting.page.parts import Picture, half_picture, percent, picture

_BINS = 280  # of a long pretraining
_MOST_FAINT = 40  # retrained networks beside those that have colours


def losses(steps: pd.DataFrame) -> Picture:
    """Draw the loss of the pretraining: its range and its mean over neighbouring steps."""
    bins = np.arange(len(steps)) * min(_BINS, len(steps)) // len(steps)
    groups = steps.groupby(bins)
    middle, low, high = groups["step"].mean(), groups["loss"].min(), groups["loss"].max()
    window = max(1, len(middle) // 40)
    mean = groups["loss"].mean().rolling(window, center=True, min_periods=1).mean()

    def draw(width: int) -> Chart:
        chart = Chart(
            width,
            280,
            spanning(steps["step"], "Step", 0.02, is_whole=True),
            spanning(steps["loss"], "Training loss (nats)"),
        )
        if len(middle) < len(steps):
            chart.band(middle, low, high, "s0")
        else:
            chart.line(steps["step"], steps["loss"], "s0 thin")
        chart.line(middle, mean, "s0")
        return chart

    first, last = mean.iloc[0], mean.iloc[-1]
    told = f"{len(steps):,} steps; the loss went from {first:.3f} to {last:.3f} nats"
    legend = [
        (key(0, "thin", is_line=True), "range of steps" if len(middle) < len(steps) else "step"),
        (key(0, is_line=True), "mean of neighbours"),
    ]
    alt = f"Line chart of the pretraining loss: {told}."
    return picture("Pretraining of the supernet", alt, f"{told}.", draw, legend)


def curves(trials: pd.DataFrame, ranks: Mapping[str, int]) -> list[Picture]:
    """Draw loss and accuracy of retraining by epoch, the best networks in colours."""
    best = trials.groupby("architecture")["val_accuracy"].max().sort_values(ascending=False)
    order = sorted(map(str, best.index), key=lambda name: ranks.get(name, len(best) + 1))
    named, others = order[:NUM_LOOKS], order[NUM_LOOKS : NUM_LOOKS + _MOST_FAINT]
    groups = {
        name: [group.sort_values("epoch") for _, group in rows.groupby("trial")]
        for name, rows in trials.groupby("architecture")
    }

    def draw(width: int, column: str, label: str) -> Chart:
        drawn = trials[trials["architecture"].isin([*named, *others])]
        show = _share_tick if column == "val_accuracy" else None
        chart = Chart(
            width,
            300,
            spanning(drawn["epoch"], "Epoch", 0.02, is_whole=True),
            spanning(drawn[column], label, show=show),
        )
        for index, name in reversed(list(enumerate([*named, *others]))):
            look = f"s{index}" if index < len(named) else "faint"
            for trial in groups[name]:
                chart.line(trial["epoch"], trial[column], look)
                if len(trial) == 1:
                    chart.dots(trial["epoch"], trial[column], min(index, NUM_LOOKS - 1))
        return chart

    legend = [
        (key(index, is_line=True), f"rank {ranks[name]}: {name}" if name in ranks else name)
        for index, name in enumerate(named)
    ]
    if others:
        legend.append((key(0, "faint", is_line=True), f"{len(others)} more"))
    left = len(order) - len(named) - len(others)
    rest = f" {left:,} further networks are not drawn." if left else ""
    epochs = int(trials["epoch"].max())
    told = f"{len(order):,} networks, up to {epochs} epochs"
    top = f"the highest validation accuracy of an epoch is {percent(best.iloc[0])}"
    return [
        half_picture(
            "Validation accuracy",
            f"Line chart of validation accuracy by epoch: {told}; {top}.",
            f"{told}; {top}.{rest}",
            lambda width: draw(width, "val_accuracy", "Validation accuracy (%)"),
            legend,
        ),
        half_picture(
            "Training loss",
            f"Line chart of training loss by epoch: {told}.",
            f"At the end it lies between {_ends(groups, named)} nats for those in colours.",
            lambda width: draw(width, "train_loss", "Training loss (nats)"),
        ),
    ]


def _share_tick(value: float) -> str:
    return f"{100 * value:.4g}"


def _ends(groups: Mapping[Any, Sequence[pd.DataFrame]], names: Sequence[str]) -> str:
    last = [float(trial["train_loss"].iloc[-1]) for name in names for trial in groups[name]]
    return f"{min(last):.3f} and {max(last):.3f}"


def gains(rows: pd.DataFrame) -> list[Picture]:
    """Draw the mean squared singular value of candidates' Jacobians, with and without batch norms.

    Args:
        rows: What ``raynas.reporting.queries.measured_candidates`` returns.
    """
    weights = list(dict.fromkeys(rows["initialisation"]))
    found = []
    for has_norms, title in ((True, "With batch norms"), (False, "Without batch norms")):
        part = rows[rows["batch_norm"] == has_norms]
        part = part[part["phi"] > 0]
        if len(part):
            found.append(_gain(part, title, weights))
    return found


def _gain(part: pd.DataFrame, title: str, weights: Sequence[str]) -> Picture:
    kinds = [name for name in weights if name in set(part["initialisation"])]

    def draw(width: int) -> Chart:
        chart = Chart(
            width,
            280,
            spanning(part["layer"], "Layer", 0.04, is_whole=True),
            spanning([*part["phi"], 1.0], "Gain phi of a candidate", is_log=True),
        )
        chart.rule("one", y=1.0)
        for index, name in enumerate(kinds):
            group = part[part["initialisation"] == name]
            chart.dots(group["layer"] + 0.24 * (index - 0.5), group["phi"], index, "small")
        return chart

    spreads = [
        f"{name} {part.loc[part['initialisation'] == name, 'phi'].min():.3g} to "
        f"{part.loc[part['initialisation'] == name, 'phi'].max():.3g}"
        for name in kinds
    ]
    told = f"phi by layer: {', '.join(spreads)}; the line is 1"
    alt = f"Scatter plot of candidates' gains, {title.lower()}. {told}."
    legend = [(key(index, "small"), name) for index, name in enumerate(kinds)]
    return half_picture(title, alt, f"{told[:1].upper()}{told[1:]}.", draw, legend)


def times(expected: Mapping[str, Any], spent: Mapping[str, Any]) -> Picture:
    """Draw what each stage took beside the range that was forecast."""
    stages = [name for name, of in expected.items() if isinstance(of, dict)]
    taken = {name: spent[name]["seconds"] for name in stages if name in spent}
    longest = max([*(expected[name]["high_seconds"] for name in stages), *taken.values()])

    def draw(width: int) -> Chart:
        rows = Axis("", len(stages) - 0.5, -0.5, names=tuple(enumerate(stages)))
        x = Axis("Time", 0.0, 1.04 * longest, show_seconds)
        chart = Chart(width, 60 + 40 * len(stages), x, rows)
        for row, name in enumerate(stages):
            of = expected[name]
            ends = [of["low_seconds"], of["high_seconds"]]
            chart.line(ends, [row, row], "range")
            chart.dots([of["seconds"]], [row], 2, "hollow", f"{name}: forecast")
            if name in taken:
                chart.dots([taken[name]], [row], 3, "", f"{name}: taken")
        return chart

    told = "; ".join(
        f"{name} {show_seconds(expected[name]['seconds'])} forecast, "
        f"{show_seconds(taken[name]) + ' taken' if name in taken else 'not ended'}"
        for name in stages
    )
    legend = [
        (key(0, "range", is_line=True), "forecast range"),
        (key(2, "hollow"), "forecast"),
        (key(3), "taken"),
    ]
    alt = f"Chart of the time of each stage: {told}."
    return picture("Time by stage", alt, "", draw, legend)
