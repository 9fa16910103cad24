"""What the stages of a run share."""

from dataclasses import dataclass

from raynas.cluster.connection import Resources
from raynas.cluster.plan import Plan
from raynas.console import Stages
from raynas.settings import Settings
from raynas.store import RunStore
from raynas.training.images import Dataset


@dataclass(frozen=True)
class Run:
    """Where results go, what to do, on what, and where to show it."""

    store: RunStore
    settings: Settings
    dataset: Dataset
    plan: Plan
    resources: Resources
    stages: Stages
