"""Tables of latencies that add up over layers: written by ``launch/latency.py``, read by a search.

A table is one Parquet file (``tables.LATENCIES``) that knows how it was measured, and a second one
beside it holds the whole networks that were measured (``tables.MEASURED_NETS``).
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from raynas.costs.costs import CostTable
from raynas.errors import UserError
from raynas.spaces.protocol import Space
from raynas.storage.folder import Folder
from raynas.storage.schemas_beside_runs import LATENCIES, MEASURED_NETS
from raynas.storage.uris import inside, shown, split

Row = Mapping[str, Any]
_FACTS = b"raynas.latencies"  # key of the metadata: how it was measured, as JSON


@dataclass(frozen=True)
class Task:
    """What networks are made for: a table holds for one task only.

    Attributes:
        channels: Of an image.
        resolution: Its height and width in pixels.
        num_classes: Of the task.
    """

    channels: int
    resolution: int
    num_classes: int

    def __str__(self) -> str:
        shape = f"{self.channels} x {self.resolution} x {self.resolution}"
        return f"images of {shape} and {self.num_classes} classes"


@dataclass(frozen=True)
class LatencyTable:
    """What each candidate of each layer takes on some device.

    Attributes:
        location: Where it was read.
        content: The file.
        facts: How it was measured: device, threads, batch, space, channels, resolution,
            num_classes, versions, measured (date), median_error, max_error, and so on.
        rows: As ``tables.LATENCIES``.
    """

    location: str
    content: bytes = field(repr=False)
    facts: Mapping[str, Any]
    rows: Sequence[Row]

    @classmethod
    def read(cls, location: str) -> Self:
        """Read a table from a local path or a URI.

        Raises:
            UserError: There is none, or the file is no table of latencies.
        """
        folder, name = split(location)
        try:
            content = Folder(folder).read_bytes(name)
        except OSError as error:
            raise UserError(
                f"--latency-table {shown(location)}: cannot read it ({shown(str(error))}); give "
                "the file that launch/latency.py wrote"
            ) from error
        try:
            table = pq.read_table(pa.BufferReader(content))
            facts = json.loads(table.schema.metadata[_FACTS])
            rows = table.select(LATENCIES.names).to_pylist()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"--latency-table {shown(location)}: it is no table of latencies, or damaged; "
                "give the file that launch/latency.py wrote"
            ) from error
        return cls(shown(location), content, facts, rows)

    @property
    def digest(self) -> str:
        """Twelve letters that differ where the content does."""
        return hashlib.sha256(self.content).hexdigest()[:12]

    def added_to(self, costs: CostTable, space: Space, task: Task) -> CostTable:
        """Return the costs with the latencies of this table, in whole nanoseconds.

        Args:
            costs: Of the space for the task; its latencies, if any, are replaced.
            space: What is searched.
            task: What for.

        Raises:
            UserError: The table was measured for something else.
        """
        self._refuse_foreign(space, task)
        known = {(row["layer"], row["operation"]): row for row in self.rows}
        latency = []
        for layer, block in enumerate(space.blocks):
            names = [candidate.name for candidate in block.candidates]
            missing = [name for name in names if (layer, name) not in known]
            if missing:
                raise self._misfit(
                    f"it has no operation {missing[0]} in layer {layer}", space, task
                )
            found = [known[layer, name] for name in names]
            for row, macs in zip(found, costs.macs[layer], strict=True):
                if row["macs"] != macs:
                    raise self._misfit(
                        f"its {row['operation']} of layer {layer} had {row['macs']:,} MACs, now "
                        f"it has {macs:,}",
                        space,
                        task,
                    )
            latency.append(tuple(_nanoseconds(row) for row in found))
        fixed = next(row for row in self.rows if row["candidate"] is None)
        return replace(
            costs, latency=tuple(latency), fixed=replace(costs.fixed, latency=_nanoseconds(fixed))
        )

    def _refuse_foreign(self, space: Space, task: Task) -> None:
        layers = 1 + max(row["layer"] for row in self.rows if row["layer"] is not None)
        own = Task(*(self.facts[name] for name in ("channels", "resolution", "num_classes")))
        if (self.facts["space"], layers, own) != (space.name, space.num_layers, task):
            there = f"{self.facts['space']} with {layers} layers, {own}"
            here = f"{space.name} with {space.num_layers} layers, {task}"
            raise self._misfit(
                f"it was measured for {there}, this search is of {here}", space, task
            )

    def _misfit(self, why: str, space: Space, task: Task) -> UserError:
        return UserError(
            f"--latency-table {self.location}: {why}; measure this one with python "
            f"launch/latency.py --space {space.name} --resolution {task.resolution} --channels "
            f"{task.channels} --num-classes {task.num_classes}"
        )

    @property
    def words(self) -> str:
        """How it was measured and how well it adds up, for a person."""
        facts = self.facts
        return (
            f"{self.location}: {facts['device']}, {circumstances(facts)}, measured "
            f"{facts['measured'][:10]}{error_words(facts)}"
        )


def circumstances(facts: Mapping[str, Any]) -> str:
    """Return threads and batch in words."""
    threads, batch = facts["threads"], facts["batch"]
    cpu = f"{threads} {'thread' if threads == 1 else 'threads'}, "
    return f"{cpu if facts['kind'] == 'cpu' else ''}batch {batch}"


def error_words(facts: Mapping[str, Any]) -> str:
    """Return how far off sums of the table are, if any whole network was held out."""
    if facts["median_error"] is None:
        return ""
    median, most = 100 * facts["median_error"], 100 * facts["max_error"]
    nets = facts["held_out"]
    return f", off by {median:.1f} % (at most {most:.1f} %) on {nets} whole networks"


def _nanoseconds(row: Row) -> int:
    return round(float(row["latency_ms"]) * 1e6)


def write(
    location: str, rows: Iterable[Row], nets: Iterable[Row], facts: Mapping[str, Any]
) -> tuple[str, str]:
    """Write a table and, beside it, its whole networks; return where both lie.

    Args:
        location: The table's path or URI, ending in .parquet.
        rows: As ``tables.LATENCIES``.
        nets: As ``tables.MEASURED_NETS``.
        facts: How it was measured, plain data for JSON; both files hold it.
    """
    address, name = split(location)
    folder = Folder(address)
    beside = f"{PurePosixPath(name).stem}-nets.parquet"
    metadata = {_FACTS: json.dumps(dict(facts), sort_keys=True).encode()}
    for file, schema, content in ((beside, MEASURED_NETS, nets), (name, LATENCIES, rows)):
        table = pa.Table.from_pylist([dict(row) for row in content], schema=schema)
        sink = pa.BufferOutputStream()
        pq.write_table(table.replace_schema_metadata({**table.schema.metadata, **metadata}), sink)
        folder.write_bytes(file, sink.getvalue().to_pybytes())
    return inside(shown(address), name), inside(shown(address), beside)
