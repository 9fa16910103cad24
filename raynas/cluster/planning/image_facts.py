"""What a plan records of its images, its space and its table of latencies."""

from raynas.cluster.planning.plan_refusals import refuse_other_data
from raynas.costs.latency_table import LatencyTable
from raynas.data.dataset import Dataset
from raynas.seeds import VERSION
from raynas.storage.plan_facts import PlanFacts


def image_facts(
    dataset: Dataset, latencies: LatencyTable | None, space: str, recorded: PlanFacts | None
) -> PlanFacts:
    """Return what was read from the data, which must be what a run folder has recorded."""
    facts = PlanFacts(
        classes=dataset.class_names,
        channels=dataset.channels,
        resolution=dataset.resolution,
        train=len(dataset.train),
        val=len(dataset.val),
        test=len(dataset.test),
        keeps_val=dataset.keeps_val,
        skipped=dataset.skipped,
        ignored=dataset.ignored,
        passed_over=dataset.passed_over,
        parts=dataset.parts,
        class_counts=dataset.class_counts,
        mean=dataset.mean.tolist(),
        std=dataset.std.tolist(),
        evaluation_ratio=dataset.evaluation_ratio,
        latency_table=latencies.digest if latencies else None,
        space_digest=space,
        random_numbers=VERSION,
    )
    if recorded:
        refuse_other_data(recorded, facts)
    return facts
