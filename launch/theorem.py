"""Measure Theorem 1 on a run's supernet: inner products of pairs of images, layer by layer.

    python launch/theorem.py RUN
    python analysis/theorem.py RUN

Each candidate's convolutions with a batch norm right after them are measured once, on the paths of
a fair step, with the weights and scales that pretraining ended with. Pairs are of validation
images. What is compared with what is in .docs/pages/method.md, Theorem 1. Writes
RUN/inner_products.parquet, which analysis/theorem.py draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.torch
import torch
import tyro

from raynas.data.batches import normalise
from raynas.data.dataset import Dataset
from raynas.data.loading import as_recorded, load_dataset
from raynas.errors import UserError
from raynas.nets.inner_products import measure_paths
from raynas.recording.pretraining_log import CHECKPOINT
from raynas.recording.reuse import is_pretrained
from raynas.search.sampling import fair_paths
from raynas.seeds import Stream, random_numbers
from raynas.settings.settings import Settings
from raynas.spaces.chain import SearchSpace, chain_of
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.run_store import RunStore
from raynas.storage.schemas_beside_runs import INNER_PRODUCTS, INNER_PRODUCTS_FILE
from raynas.terminal.cli import exit_code, run_script
from raynas.terminal.output import outlive_output
from raynas.training.gradients import build_supernet
from raynas.training.trained_networks import recorded_space


@dataclass(frozen=True)
class Command:
    """Measure inner products of pairs of validation images on a run's supernet."""

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Run folder: a local path or a URI such as s3://bucket/run."""
    pairs: int = 16
    """Pairs of images; batch norms see them all as one batch."""
    space: str | None = None
    """The space of the run, where that is a Python file of yours: nothing that a run folder names
    is executed."""
    data: str | None = None
    """The images, where they lie elsewhere."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    return exit_code(lambda: measure(parse(argv)))


def parse(argv: Sequence[str] | None) -> Command:
    """Return the command.

    Raises:
        UserError: No pair at all.
    """
    command = tyro.cli(Command, args=argv, description=__doc__)
    if command.pairs < 1:
        raise UserError(f"--pairs: got {command.pairs}, wanted at least 1")
    return command


def measure(command: Command) -> None:
    """Write the rows, and print where they lie.

    Raises:
        UserError: The run has pretrained no supernet.
    """
    store = RunStore.open(command.run)
    if not is_pretrained(store):
        raise UserError(
            f"run folder {store.uri}: wanted one whose pretraining has ended; continue the run by "
            "the command that began it, or name another"
        )
    outlive_output()
    row = store.rows("runs")[0]
    settings = Settings.from_json(row["settings"])
    space = chain_of(recorded_space(store, command.space), "launch/theorem.py")
    where = command.data or settings.data
    images = load_dataset(where, settings.images, settings.seed, space.resolution)
    dataset = as_recorded(images, PlanFacts.from_json(row["plan"]))
    rows = measured(store, space, dataset, settings, command.pairs)
    table = pa.Table.from_pylist(rows, schema=INNER_PRODUCTS)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    store.write_bytes(INNER_PRODUCTS_FILE, sink.getvalue().to_pybytes())
    print(store.locate(INNER_PRODUCTS_FILE))


def measured(
    store: RunStore, space: SearchSpace, dataset: Dataset, settings: Settings, pairs: int
) -> list[dict[str, Any]]:
    """Return the rows of a run's supernet.

    Raises:
        UserError: There are fewer images, or the checkpoint is of another supernet.
    """
    if len(dataset.val) < 2 * pairs:
        raise UserError(
            f"--pairs {pairs}: there are {len(dataset.val)} validation images; ask for "
            f"{len(dataset.val) // 2} at most"
        )
    frozen = build_supernet(space, settings.pretrain, dataset, settings.seed)
    vector = safetensors.torch.load(store.read_bytes(CHECKPOINT))["vector"]
    if vector.shape != frozen.vector.shape:
        raise UserError(
            f"run folder {store.uri}: its checkpoint holds {len(vector):,} numbers, and the "
            f"supernet {len(frozen.vector):,}; bring its space and images back as they were"
        )
    frozen.vector.copy_(vector)
    rng = random_numbers(settings.seed, Stream.IMAGE_PAIRS)
    chosen = rng.permutation(len(dataset.val))[: 2 * pairs]
    images = normalise(torch.from_numpy(dataset.val.take(np.sort(chosen)).pixels), dataset)
    paths = fair_paths([block.size for block in space.blocks], settings.seed, 0)
    return [
        {
            "layer": layer,
            "candidate": choice,
            "operation": space.blocks[layer].candidates[choice].name,
            "batch_norm": number,
            "filters": found.filters,
            "groups": found.groups,
            "fan_in": found.fan_in,
            "gamma": found.gamma,
            "pairs": pairs,
            "slope": found.slope,
            "difference": found.difference,
            "threshold": found.threshold,
            "share_within": found.share_within,
            "relative": found.relative,
        }
        for layer, choice, number, found in measure_paths(frozen.supernet, images, paths)
    ]


if __name__ == "__main__":
    run_script(main)
