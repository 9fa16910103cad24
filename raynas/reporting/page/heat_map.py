"""The indicators of the last recorded step as a heat map: a table whose cells are tinted."""

from typing import Any

import numpy as np

from raynas.reporting.page.parts import Cell, Column, Table
from raynas.reporting.page.run_snapshot import RunSnapshot
from raynas.settings.scores import is_sum

_TINTS = 6  # shades


def heat_map(snapshot: RunSnapshot) -> Table | None:
    """Return the indicator that the score is made of, a row a layer; None: nothing recorded.

    Of a score that is read off trained weights, what each candidate adds to it.
    """
    score = snapshot.settings.search.score
    kinds = set(snapshot.indicators["kind"])
    kind: str = score if score in kinds and is_sum(score) else "block"
    if snapshot.reads_start:
        kind = "score"
    rows = snapshot.indicators[snapshot.indicators["kind"] == kind].dropna(subset=["candidate"])
    if rows.empty:
        return None
    grid = rows.pivot_table(index="layer", columns="candidate", values="value")
    names = [_column_name(snapshot, int(choice)) for choice in grid.columns]
    columns = [Column("Layer"), *(Column(name) for name in names), Column("Lead")]
    best = (snapshot.best or {}).get("architecture", "").split("-")
    cells = [
        _layer(
            int(layer), grid.loc[layer].to_numpy(dtype=float), list(map(int, grid.columns)), best
        )
        for layer in grid.index
    ]
    caption = f"Indicator {kind} after step {rows['step'].max() + 1:,}"
    if snapshot.reads_start:
        caption = f"What each candidate adds to the score {score}"
    return Table(caption, columns, cells, sorts=False)


def _column_name(snapshot: RunSnapshot, choice: int) -> str:
    names = {name for (_, index), name in snapshot.operations.items() if index == choice}
    return names.pop() if len(names) == 1 else f"candidate {choice}"


def _layer(layer: int, values: Any, choices: list[int], best: list[str]) -> list[Cell]:
    """Return a layer's values, tinted from its lowest to its highest."""
    known = np.sort(values[np.isfinite(values)]).tolist()
    low, high = known[0], known[-1]
    chosen = best[layer] if layer < len(best) else ""
    cells = [Cell(str(layer), layer)]
    for choice, value in zip(choices, values.tolist(), strict=True):
        if not np.isfinite(value):
            cells.append(Cell("-", None, "none"))
            continue
        share = (value - low) / (high - low) if high > low else 0.0
        look = f"t{round(share * (_TINTS - 1))}" + " top" * (value == high > low)
        picked = str(choice) == chosen
        cells.append(Cell(f"{value:.3f}", float(value), look + " picked" * picked))
    lead = (high - known[-2]) / abs(known[-2]) if len(known) > 1 and known[-2] else None
    cells.append(Cell("-" if lead is None else f"{100 * lead:.1f} %", lead, "lead"))
    return cells
