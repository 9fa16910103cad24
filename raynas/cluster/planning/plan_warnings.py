"""What a plan says of images, settings and steps that a person may want to change."""

import math

from raynas.data.bit_depths import depth_warnings
from raynas.data.dataset import Dataset
from raynas.data.sizes import are_photographs, size_warnings
from raynas.nets.rivals import known_names
from raynas.reporting.class_balance import class_warnings
from raynas.reporting.part_roles import role_warnings
from raynas.settings.retrain import RetrainSettings
from raynas.settings.scores import SCORES
from raynas.settings.settings import Settings
from raynas.spaces.chain import SearchSpace
from raynas.spaces.protocol import Space
from raynas.storage.plan_facts import PlanFacts
from raynas.training.starts.libraries import PACKAGES

_PRESETS = "imagenet/"  # of papers, which train from random weights
_ADVICE = "--space efficientnet_lite0 --start efficientnet_lite0"
_STEPS = 50  # of a training; fewer leave the score to chance


def plan_warnings(
    space: Space, dataset: Dataset, settings: Settings, facts: PlanFacts, steps: int
) -> tuple[str, ...]:
    """Return sentences on what a person may want to change."""
    return (
        *size_warnings(space, dataset, settings.images.resolution),
        *(depth_warnings(dataset.depth, settings.images.bits) if dataset.depth else ()),
        *class_warnings(facts),
        *role_warnings(facts, settings.images),
        *_few_steps(steps, len(dataset.train), settings),
        *_random_weights(space, dataset, settings),
        *_idle_supernet(settings, steps),
        *_idle_distillation(settings.retrain),
    )


def _random_weights(space: Space, dataset: Dataset, settings: Settings) -> list[str]:
    """Return a sentence where few photographs meet random weights, unless a paper has it so."""
    if settings.start or settings.method.startswith(_PRESETS) or not are_photographs(dataset):
        return []
    if not isinstance(space, SearchSpace):  # nothing is inherited by cells
        return []
    known = {*PACKAGES, *known_names()}
    advice = next((f"--start {name}" for name, _ in space.published if name in known), _ADVICE)
    said = (
        f"{len(dataset.train):,} photographs teach random weights little; networks that begin from "
        f"trained ones are mostly better, such as by {advice}"
    )
    return [said]


def _idle_supernet(settings: Settings, steps: int) -> list[str]:
    """Return a sentence where a supernet is trained that the score does not read."""
    search = settings.search
    if not steps or not search.traits.maximises_score or SCORES[search.score].needs_supernet:
        return []
    said = (
        f"--search.score {search.score} does not read the supernet that is pretrained for "
        f"{settings.pretrain.epochs:g} epochs; --pretrain.epochs 0 does without it, "
        "--method fair_saliency reads one"
    )
    return [said]


def _idle_distillation(retrain: RetrainSettings) -> list[str]:
    """Return a sentence where it is said how much a teacher counts, and there is none."""
    asked, unasked = (
        (each.teacher_weight, each.temperature) for each in (retrain, RetrainSettings())
    )
    if retrain.teacher is not None or asked == unasked:
        return []
    said = (
        "--retrain.teacher-weight and --retrain.temperature do nothing without a teacher; "
        "name one by --retrain.teacher"
    )
    return [said]


def _few_steps(pretraining: int, images: int, settings: Settings) -> list[str]:
    """Return a sentence for each training that a small data set makes very short."""
    retrain, gates = settings.retrain, settings.differentiable
    is_differentiable = settings.search.traits.is_differentiable
    half = math.ceil(images / 2)
    searching = gates.epochs * math.ceil(half / gates.batch)
    retraining = retrain.epochs * math.ceil(images / retrain.batch)
    stages = (
        ("pretraining", "pretrain", pretraining, images, settings.pretrain.batch),
        ("a differentiable search", "differentiable", searching, half, gates.batch),
        ("retraining", "retrain", retraining, images, retrain.batch),
    )
    return [
        f"{what} has {steps} steps in all, too few to learn from, since {count} images make few "
        f"batches of {batch}; raise --{flag}.epochs to {math.ceil(_STEPS * batch / count)}, or "
        f"lower --{flag}.batch"
        for what, flag, steps, count, batch in stages
        if 0 < steps < _STEPS and (is_differentiable or flag != "differentiable")
    ]
