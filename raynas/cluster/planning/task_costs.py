"""What networks classify in a run, and what the candidates of its space cost there."""

from raynas.costs.costs import CostTable
from raynas.costs.latency_table import LatencyTable, Task
from raynas.data.dataset import Dataset
from raynas.nets.cost import cost_table
from raynas.settings.settings import Settings
from raynas.spaces.protocol import Space


def task_of(dataset: Dataset) -> Task:
    """Return what networks classify: the channels, pixels and classes of these images."""
    return Task(dataset.channels, dataset.resolution, dataset.num_classes)


def priced(
    space: Space, dataset: Dataset, settings: Settings
) -> tuple[CostTable, LatencyTable | None]:
    """Return what candidates cost, with latencies where a table of them is given.

    Args:
        space: The space, with identity where the run has it.
        dataset: The images.
        settings: Name the table of latencies.

    Raises:
        UserError: The table is none of this space and these images.
    """
    task = task_of(dataset)
    costs = cost_table(space, task.resolution, task.channels, task.num_classes)
    if settings.latency_table is None:
        return costs, None
    latencies = LatencyTable.read(settings.latency_table)
    return latencies.added_to(costs, space, task), latencies
