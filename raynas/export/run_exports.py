"""The exports of a run: what they are compared and judged on, and those that are missing."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from raynas.data.batches import normalise
from raynas.data.dataset import Dataset
from raynas.export.exports import Exports
from raynas.export.rivals import winning_rivals
from raynas.seeds import Stream, mixed_seed
from raynas.settings.export import ExportSettings
from raynas.spaces.protocol import Space
from raynas.storage.outcome_rows import networks_of
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.run_store import RunStore

_CHECKED = 16  # images that outputs are compared on


def exports_of(store: RunStore, space: Space, dataset: Dataset | None, **rest: Any) -> Exports:
    """Return the exports of a run.

    Args:
        store: The run folder.
        space: The space that was searched, with identity where it had it.
        dataset: Its images, to compare outputs on some of the validation part and to make
            model.int8.onnx; None: outputs are compared on noise, and there is no such file.
        rest: Further attributes of ``Exports``.
    """
    facts = PlanFacts.from_json(store.rows("runs")[0]["plan"])
    if dataset is not None:
        if facts.mean is None:  # as in runs of an older raynas
            facts = replace(facts, mean=dataset.mean.tolist(), std=dataset.std.tolist())
        indices = np.linspace(0, len(dataset.val) - 1, min(_CHECKED, len(dataset.val)))
        pixels = dataset.val.take(np.unique(indices.round()).astype(np.int64)).pixels
        images, source = normalise(torch.from_numpy(pixels), dataset), "validation images"
    else:
        generator = torch.Generator().manual_seed(mixed_seed(0, Stream.NOISE))
        shape = _CHECKED, facts.channels, facts.resolution, facts.resolution
        images, source = torch.randn(shape, generator=generator), "images of noise"
    return Exports(
        store, space, facts, images, source, **{"folder": store, "dataset": dataset, **rest}
    )


def export_finished(
    store: RunStore,
    space: Space,
    dataset: Dataset,
    say: Callable[[str], None],
    settings: ExportSettings | None = None,
) -> None:
    """Write the exports that are missing; what cannot be exported costs a sentence, not a run.

    Args:
        store: The run folder.
        space: The space that was searched, with identity where it had it.
        dataset: Its images.
        say: Prints a line.
        settings: How exports are made; None: as those recorded say.
    """
    made = 0
    for outcome in (*networks_of(store.rows("outcomes")), *winning_rivals(store)):
        try:
            exports = exports_of(store, space, dataset, settings=settings)
            if not exports.is_made(outcome):
                for sentence in exports.make(outcome):
                    say(f"export: {sentence}")
            made += 1
        except Exception as error:  # noqa: BLE001 - the run and its results are worth more
            say(f"warning: export of {outcome['architecture']} failed ({error!r})")
    if made:
        say(f"export: {made} to take home in {store.locate('exports')}, see README.md there")
