"""What several readers of a run work out from its tables in the same way."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from raynas.settings.settings import Settings
from raynas.spaces.chain import IDENTITY
from raynas.spaces.genotype import Genotype
from raynas.storage.run_store import RunStore

CELLS = ("normal", "reduction")
"""Kinds of cells, in the order of tables and figures."""


def pareto(points: pd.DataFrame, accuracy: str, cost: str = "macs") -> pd.DataFrame:
    """Return the points that no cheaper one equals, in the order of their costs.

    Args:
        points: Rows with both columns; those without a value in one of them are left out.
        accuracy: The column to be as large as possible.
        cost: The column to be as small as possible.
    """
    ordered = points.dropna(subset=[accuracy, cost])
    ordered = ordered.sort_values([cost, accuracy], ascending=[True, False])
    before = ordered[accuracy].cummax().shift(fill_value=-1.0)
    front: pd.DataFrame = ordered[ordered[accuracy] > before]
    return front


def measured_candidates(isometry: pd.DataFrame, run: dict[str, Any]) -> pd.DataFrame:
    """Return the table ``isometry`` without identities; what is null there is the run's own.

    Args:
        isometry: The table.
        run: The run's row.
    """
    own = Settings.from_json(run["settings"]).pretrain.initialisation
    rows = isometry.assign(
        initialisation=isometry["initialisation"].fillna(own),
        batch_norm=[value is not False for value in isometry["batch_norm"].astype(object)],
    )
    return rows[rows["operation"] != "identity"]


def isometry_by_layer(rows: pd.DataFrame) -> pd.DataFrame:
    """Return median phi and varphi, and phi's spread, of each layer, weights and batch norms.

    Args:
        rows: What ``measured_candidates`` returns.
    """
    groups = rows.groupby(["initialisation", "batch_norm", "layer"], sort=False)
    table = groups[["phi", "varphi"]].median()
    table["spread"] = groups["phi"].std(ddof=0) / groups["phi"].mean()
    return table.reset_index()


def score_parts(indicators: Iterable[Mapping[str, Any]], architecture: str) -> tuple[float, float]:
    """Return what blocks and what identities add to the score of an architecture.

    Args:
        indicators: Rows of the table ``indicators`` of the kind that was searched by, score or
            calibrated.
        architecture: An index per layer.

    Returns:
        Sums of block indicators and of layer indicators, in the score's unit.
    """
    choices = dict(enumerate(map(int, architecture.split("-"))))
    parts = [0.0, 0.0]
    for row in indicators:
        if choices[row["layer"]] == row["candidate"]:
            parts[row["operation"] == IDENTITY] += row["value"]
    return parts[0], parts[1]


def searched_by(store: RunStore) -> list[dict[str, Any]]:
    """Return the rows of ``indicators`` that the scores of a run's architectures are sums of."""
    (run,) = store.rows("runs")
    learns_later = Settings.from_json(run["settings"]).search.traits.learns_from_trials
    rows = store.rows("indicators")
    kinds = {row["kind"] for row in rows}
    kind = "calibrated" if "calibrated" in kinds and not learns_later else "score"
    return [row for row in rows if row["kind"] == kind]


def score_name(run: dict[str, Any]) -> str:
    """Return what the score of a run's architectures is.

    Args:
        run: The run's row.
    """
    if not run["settings"]:
        return "unnamed formula"
    search = Settings.from_json(run["settings"]).search
    return "accuracy while searching" if search.strategy == "differentiable" else search.score


def last_epochs(epochs: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each differentiable search: what its last epoch found, and all seconds.

    The epoch is 0 and nothing found where a search failed in its first one; the status is null
    while it goes on.

    Args:
        epochs: The table ``search_epochs``.
    """
    groups = epochs.sort_values("epoch").groupby("seed")
    table: pd.DataFrame = groups.tail(1).sort_values("seed", ignore_index=True)
    return table.assign(seconds=table["seed"].map(groups["seconds"].sum()))


def whole_searches(searches: pd.DataFrame) -> pd.DataFrame:
    """Return the searches that have not been cut short: neither failed nor stopped.

    Args:
        searches: What ``last_epochs`` returns.
    """
    return searches[~searches["status"].isin(["failed", "stopped"])]


def best_search(searches: pd.DataFrame) -> pd.Series | None:
    """Return the whole search of the highest accuracy in its last epoch; None: there is none.

    Args:
        searches: What ``last_epochs`` returns.
    """
    whole = whole_searches(searches)
    return None if whole.empty else whole.iloc[int(whole["val_accuracy"].to_numpy().argmax())]


def last_gates(gates: pd.DataFrame, search: pd.Series) -> dict[str, pd.DataFrame]:
    """Return what a search's genotype was chosen by: kind of cell to weights.

    Args:
        gates: The table ``gates``.
        search: A row of ``last_epochs``.

    Returns:
        For each kind of cell a row for each edge, by node and source, and a column for each
        operation, in the order of the space.
    """
    rows = gates[(gates["seed"] == search["seed"]) & (gates["epoch"] == search["epoch"])]
    operations = list(dict.fromkeys(rows["operation"]))
    return {
        str(cell): part.pivot_table(index=["node", "source"], columns="operation", values="weight")[
            operations
        ]
        for cell, part in rows.groupby("cell")
    }


def chosen_gates(genotype: str) -> dict[str, set[tuple[int, int, str]]]:
    """Return the node, source and operation of each input that a genotype has, by kind of cell."""
    found = Genotype.parse(genotype)
    return {
        cell: {(index, *each) for index, node in enumerate(nodes) for each in node}
        for cell, nodes in zip(CELLS, (found.normal, found.reduction), strict=True)
    }
