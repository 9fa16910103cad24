"""What a file of true accuracies does not tell of its networks, from runs on their space."""

from collections.abc import Sequence
from dataclasses import replace

from raynas.benchmark.recorded import recorded_relu_inputs
from raynas.benchmark.recorded_costs import recorded_costs
from raynas.benchmark.recorded_spaces import known_space
from raynas.benchmark.truths.truth import Array, Truth
from raynas.storage.run_store import RunStore


def completed(truth: Truth, stores: Sequence[RunStore]) -> tuple[Truth, list[str]]:
    """Return a truth with what the tables of runs of its space tell, and notes on whose they are.

    Args:
        truth: What a file tells, which stays.
        stores: The runs; of each kind of number, the first one counts that tells it of all.
    """
    notes: list[str] = []
    if truth.skips is None:
        spaces = (known_space(store) for store in stores)
        blocks = next((space.blocks for space in spaces if space is not None), ())
        truth = replace(truth, skips=tuple(block.identity for block in blocks) or None)
    if truth.macs is None:
        macs, note = _costs(truth, stores, "macs", "MACs")
        truth, notes = replace(truth, macs=macs), notes + note
    if truth.params is None:
        params, note = _costs(truth, stores, "params", "parameters")
        truth, notes = replace(truth, params=params), notes + note
    inputs = (recorded_relu_inputs(store, truth) for store in stores)
    relu_inputs = next((each for each in inputs if each is not None), None)
    return replace(truth, relu_inputs=relu_inputs), notes


def _costs(
    truth: Truth, stores: Sequence[RunStore], kind: str, words: str
) -> tuple[Array | None, list[str]]:
    for store in stores:
        costs = recorded_costs(store.rows("architectures"), truth.architectures, kind)
        if costs is not None:
            return truth.merged(costs), [f"{words} are those that run {store.name} has counted"]
    return None, []
