"""What decides each part of a run: whoever takes a part over from another run compares this.

A setting that stands in no group decides every part until somebody has thought about it.
"""

from collections.abc import Mapping
from typing import Literal

from raynas.storage.plan_facts import PlanFacts

Part = Literal["pretraining", "features", "scores", "checks", "trainings", "searches"]
"""What of a run another one may take over."""

GROUPS: Mapping[str, frozenset[str]] = {
    "task": frozenset(
        {
            "space",
            "data",
            "seed",
            "start",  # by whose mean and deviation all images are normalised
            "images.resolution",
            "images.share",
            "images.val-fraction",
            "images.test-fraction",
            "images.crop",
            "images.mirror",
            "images.colour-jitter",
            "images.lighting",
            "images.crop-area",
            "images.crop-aspect",
            "images.evaluation-ratio",
            "images.max-corrupt",
            "images.verify",
            "images.parts",
            "images.bits",
        }
    ),
    "supernet": frozenset(
        {
            "pretrain.epochs",
            "pretrain.batch",
            "pretrain.trainable",
            "pretrain.sampling",
            "pretrain.bins-from",
            "pretrain.bins-to",
            "pretrain.bin-width",
            "pretrain.extra",
            "pretrain.optimiser",
            "pretrain.learning-rate",
            "pretrain.classifier-rate",
            "pretrain.momentum",
            "pretrain.weight-decay",
            "pretrain.schedule",
            "pretrain.last-rate",
            "pretrain.label-smoothing",
            "pretrain.dropout",
            "pretrain.clip",
            "pretrain.shards",
            "pretrain.cpus-per-worker",
            "pretrain.records",
        }
    ),
    "candidates": frozenset({"pretrain.layer-indicator"}),  # which may add the identity
    "initialisation": frozenset({"pretrain.initialisation"}),  # also of naswot in a check
    "score": frozenset({"search.score"}),
    "scoring": frozenset(
        {
            "search.recalibration-batches",
            "search.recalibration-batch",
            "search.score-images",
        }
    ),
    "gates": frozenset(
        {
            "search.strategy",
            "differentiable.gates",
            "differentiable.genotype",
            "differentiable.cells",
            "differentiable.channels",
            "differentiable.epochs",
            "differentiable.batch",
            "differentiable.warmup",
            "differentiable.learning-rate",
            "differentiable.last-rate",
            "differentiable.momentum",
            "differentiable.nesterov",
            "differentiable.weight-decay",
            "differentiable.clip",
            "differentiable.gate-rate",
            "differentiable.gate-decay",
            "differentiable.low",
            "differentiable.high",
            "differentiable.first-temperature",
            "differentiable.last-temperature",
            "differentiable.open-gates",
            "differentiable.operation-dropout",
            "differentiable.skip-weight",
            "differentiable.group-weight",
            "differentiable.path-weight",
            "differentiable.free-share",
            "differentiable.pooling",
            "differentiable.partial",
            "differentiable.edge-weights",
            "differentiable.pooling-norm",
            "differentiable.last-norm",
        }
    ),
    "trial": frozenset({"retrain.cpus-per-trial", "retrain.workers-per-trial"}),
    "training": frozenset(
        {
            "retrain.batch",
            "retrain.learning-rate",
            "retrain.momentum",
            "retrain.weight-decay",
            "retrain.label-smoothing",
            "retrain.clip",
            "retrain.dropout",
            "retrain.drop-path",
            "retrain.ema-decay",
            "retrain.compile",
            "retrain.optimiser",
            "retrain.schedule",
            "retrain.schedule-decay",
            "retrain.warmup-epochs",
            "retrain.nesterov",
            "retrain.decayed",
            "retrain.recalibration-batches",
            "retrain.mixup",
            "retrain.cutmix",
            "retrain.augment",
            "retrain.random-erasing",
            "retrain.cutout",
            "retrain.auxiliary",
            "retrain.class-weights",
            "retrain.inherited-factor",
            "retrain.teacher",
            "retrain.teacher-weight",
            "retrain.temperature",
        }
    ),
    "epochs": frozenset({"retrain.epochs"}),
    "check": frozenset({"training-epochs"}),
    # which networks are looked at, and how far, not what comes of one
    "choosing": frozenset(
        {
            "method",
            "architecture",
            "rivals",
            "recipe",
            "max-macs",
            "max-params",
            "max-latency",
            "min-macs",
            "min-params",
            "latency-table",
            "trainings",
            "budget",
            "search.layer-weight-sign",
            "search.identity-weight",
            "search.path-bonus",
            "search.generations",
            "search.population",
            "search.parents",
            "search.breeding",
            "search.objectives",
            "search.mutations",
            "search.crossovers",
            "search.mutation-probability",
            "search.min-distance",
            "differentiable.seeds",
            "differentiable.scheduler",
            "retrain.top-k",
            "retrain.seen",  # what follows from it is compared, retrain.epochs
            "retrain.least-steps",  # the same
            "retrain.on",
            "retrain.final-k",
            "retrain.scheduler",
            "retrain.asha-grace-epochs",
            "retrain.asha-reduction",
        }
    ),
}
"""Every setting by its flag, in one group each, but for those that decide no result."""

_DECIDE: Mapping[Part, frozenset[str]] = {
    "pretraining": frozenset({"task", "supernet", "candidates", "initialisation"}),
    "features": frozenset({"task", "candidates", "score"}),
    "scores": frozenset({"task", "supernet", "candidates", "initialisation", "score", "scoring"}),
    "checks": frozenset({"task", "initialisation", "trial", "training", "check"}),
    "trainings": frozenset({"task", "trial", "training", "epochs"}),
    "searches": frozenset({"task", "trial", "gates"}),
}

# What a plan has made of settings that leave it open.
_PLANNED: Mapping[Part, tuple[str, ...]] = {
    "pretraining": ("shards",),
    "features": (),
    "scores": ("shards",),
    "checks": ("workers_per_trial", "teacher"),
    "trainings": ("workers_per_trial", "teacher"),
    "searches": ("workers_per_trial",),
}


def decides(part: Part, name: str) -> bool:
    """Return whether a setting decides a part of a run.

    Args:
        part: What another run may take over.
        name: The setting's flag without dashes before it; an unknown one decides everything.
    """
    group = next((group for group, names in GROUPS.items() if name in names), None)
    return group is None or group in _DECIDE[part]


def differing_plans(part: Part, recorded: PlanFacts, facts: PlanFacts) -> list[str]:
    """Return a line for what two plans made of an open setting that decides a part, if it differs.

    Args:
        part: What another run may take over.
        recorded: The plan of the run that has it.
        facts: That of the other run.
    """
    values = [(name, getattr(recorded, name), getattr(facts, name)) for name in _PLANNED[part]]
    return [
        f"{name.replace('_', ' ')}: recorded {before}, now {now}"
        for name, before, now in values
        if before != now
    ]
