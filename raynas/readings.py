"""What several readers of a run work out from its tables in the same way."""

import json
from typing import Any

import pandas as pd


def pareto(points: pd.DataFrame, accuracy: str) -> pd.DataFrame:
    """Return the points that no cheaper one equals, in the order of their MACs.

    Args:
        points: Rows with column ``macs``.
        accuracy: The column to be as large as possible; rows without a value are left out.
    """
    ordered = points.dropna(subset=[accuracy])
    ordered = ordered.sort_values(["macs", accuracy], ascending=[True, False])
    before = ordered[accuracy].cummax().shift(fill_value=-1.0)
    front: pd.DataFrame = ordered[ordered[accuracy] > before]
    return front


def measured_candidates(isometry: pd.DataFrame, run: dict[str, Any]) -> pd.DataFrame:
    """Return the table ``isometry`` without identities; what is null there is the run's own.

    Args:
        isometry: The table.
        run: The run's row.
    """
    settings = json.loads(run["settings"] or "{}")
    own = str(settings.get("pretrain", {}).get("initialisation", "own"))
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
