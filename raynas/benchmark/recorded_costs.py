"""What networks cost, as a run's tables tell: of those that its search scored, and of others.

Costs add up over layers, so those of enough scored architectures determine those of others: a
cost is a sum of one unknown per candidate of each layer, and the architecture's own sum is known
where it is a combination of sums that are.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from raynas.spaces.architecture import Architecture

Array = npt.NDArray[np.float64]
_MOST_UNKNOWN = 1000  # candidates of all layers; nodes of cells have thousands
_TOLERANCE = 1e-6


def recorded_costs(
    rows: Iterable[Mapping[str, Any]], architectures: Sequence[Architecture], kind: str
) -> Array | None:
    """Return what architectures cost; None: the rows do not tell it of all.

    Args:
        rows: Of the table ``architectures``.
        architectures: Whose costs are wanted.
        kind: The column, macs or params.
    """
    known = {
        Architecture.parse(row["architecture"]): row[kind] for row in rows if row[kind] is not None
    }
    wanted = [each for each in architectures if each not in known]
    if wanted:
        found = _added_up(known, wanted) if known else None
        if found is None:
            return None
        known |= dict(zip(wanted, found.tolist(), strict=True))
    return np.array([known[each] for each in architectures], dtype=np.float64)


def _added_up(known: Mapping[Architecture, int], wanted: Sequence[Architecture]) -> Array | None:
    """Return the costs that known ones add up to; None where they do not determine them."""
    choices = np.array([*known, *wanted])
    sizes = choices.max(axis=0) + 1
    if sizes.sum() > _MOST_UNKNOWN:
        return None
    columns = choices + np.cumsum([0, *sizes[:-1]])
    chosen = np.zeros((len(choices), sizes.sum()))
    np.put_along_axis(chosen, columns, 1.0, axis=1)
    scored, others = chosen[: len(known)], chosen[len(known) :]
    # others = combination @ scored, if there is such a combination
    combination = others @ np.linalg.pinv(scored)
    if np.abs(combination @ scored - others).max() > _TOLERANCE:
        return None
    costs: Array = np.rint(combination @ np.array(list(known.values()), dtype=np.float64))
    return costs
