"""How often the candidates of each layer were updated, by the table ``ledger``."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Updates:
    """Layers whose candidates were updated between ``least`` and ``most`` times."""

    layers: list[int]
    least: int
    most: int


def count_updates(ledger: pd.DataFrame) -> list[Updates]:
    """Return the layers grouped by the least and most updates of their candidates."""
    layers = ledger.groupby("layer")["updates"].agg(["min", "max"])
    return [
        Updates(group.index.tolist(), int(str(least)), int(str(most)))
        for (least, most), group in layers.groupby(["min", "max"])
    ]


def fairness_line(updates: list[Updates]) -> str:
    """Return how often candidates were updated, in words."""
    match updates:
        case []:
            return "not counted yet"
        case [Updates(_, least, most)] if least == most:
            return f"every candidate updated {least:,} times"
    parts = [f"{_span(row)} times in {_layers(row.layers)}" for row in updates]
    return f"candidates updated {'; '.join(parts)}"


def _span(row: Updates) -> str:
    return f"{row.least:,}" if row.least == row.most else f"{row.least:,} to {row.most:,}"


def _layers(layers: list[int]) -> str:
    """Return ``layers 0-2, 5`` for 0, 1, 2 and 5."""
    starts = [layer for layer in layers if layer - 1 not in layers]
    ends = [layer for layer in layers if layer + 1 not in layers]
    spans = [f"{a}-{b}" if a < b else f"{a}" for a, b in zip(starts, ends, strict=True)]
    return f"layer{'s' * (len(layers) > 1)} {', '.join(spans)}"
