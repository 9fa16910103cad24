"""The plan of a run and its forecast as lines for a person."""

import math
from collections.abc import Sequence

from raynas.cluster.planning.connection import Resources
from raynas.cluster.planning.plan import Plan
from raynas.costs.costs import WORDS, show_amount, show_bytes, show_limit, show_seconds
from raynas.reporting.class_balance import class_words, name_words
from raynas.reporting.part_roles import role_words
from raynas.reporting.trained_words import trained_words
from raynas.settings.settings import Settings
from raynas.spaces.protocol import Space
from raynas.storage.uris import shown
from raynas.storage.usage import StageUsage, Usage


def plan_lines(
    plan: Plan, settings: Settings, resources: Resources, search: str, budget: str = ""
) -> list[str]:
    """Return the plan as lines for a person.

    Args:
        plan: The plan.
        settings: What was asked for.
        resources: The cluster's.
        search: What the strategy says of its search.
        budget: What a budget made of the settings, if there is one.
    """
    facts, low, high = plan.facts, plan.costs.smallest, plan.costs.largest
    shape = f"{facts.channels} x {facts.resolution} x {facts.resolution}"
    images = f"{facts.train} training, {facts.val} validation, {facts.test} test images"
    ranges = [
        f"{show_limit(kind, low.of(kind))} to {show_amount(kind, high.of(kind))}"
        for kind in plan.costs.kinds
    ]
    retrain = settings.retrain
    networks = f"{settings.num_winners} network{'s' * (settings.num_winners > 1)}"
    sections = {
        "data": f"{shown(settings.data)}: {images}, {len(facts.classes)} classes, {shape}",
        "parts": "; ".join(filter(None, (", ".join(facts.parts), role_words(facts)))),
        "sizes": plan.sizes,
        "crops": plan.crops,
        "classes": class_words(facts),
        "names": name_words(facts),
        "skipped": _skipped_words(facts.skipped),
        "ignored": _ignored_words(facts.ignored, facts.passed_over),
        "space": _space_words(plan.space),
        "costs": ", ".join(ranges),
        "start": plan.start,
        "latency": plan.latencies.words if plan.latencies else "",
        "method": f"{settings.method}{_recipe_words(settings)}, seed {settings.seed}",
        "cluster": _cluster_words(resources),
        "budget": budget,
        "pretrain": _pretrain_words(plan, settings, resources),
        "learns": _trained_words(plan, settings),
        "learn": _learn_words(plan, settings),
        "search": search + _limits_words(settings),
        "retrain": f"{networks} for {retrain.epochs} epochs{_shown_words(plan, settings)}, "
        f"{plan.concurrent} at a time, {_worker_words(plan)}{retrain.scheduler}"
        f"{_final_words(plan, settings)}",
        "teacher": plan.teacher.words(retrain) if plan.teacher else "",
        "rivals": plan.rivals.words,
    }
    lines = [f"{name:<9} {text}" for name, text in sections.items() if text]
    return [*lines, *(f"warning: {warning}" for warning in plan.warnings)]


def _recipe_words(settings: Settings) -> str:
    return f", recipe {settings.recipe}" if settings.recipe else ""


def _space_words(space: Space) -> str:
    return f"{space.name}: {space.shape_text}, {space.size:,} networks"


def _cluster_words(resources: Resources) -> str:
    words = f"{resources.nodes} nodes, {resources.cpus:g} CPUs, {resources.gpus:g} GPUs"
    if not any(resources.taken):
        return words
    cpus, gpus = resources.taken
    return f"{words}; others hold {cpus:g} CPUs and {gpus:g} GPUs, stages wait for what they need"


def _skipped_words(skipped: Sequence[str]) -> str:
    if not skipped:
        return ""
    return f"{len(skipped)} images that cannot be read: {_first(skipped, 3)}"


def _ignored_words(ignored: Sequence[str], passed_over: Sequence[str]) -> str:
    """Return what is passed over; notes and lists are, too, so some of it is normal."""
    kinds = _first(ignored, 5)
    words = [f"files that are no images by their endings: {kinds}"] if kinds else []
    return "; ".join([*words, *([_first(passed_over, 5)] if passed_over else [])])


def _first(names: Sequence[str], count: int) -> str:
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")


def _pretrain_words(plan: Plan, settings: Settings, resources: Resources) -> str:
    if not plan.num_steps:
        return "none"
    steps = f"{plan.num_steps} steps of {plan.num_paths} paths x {plan.num_shards} shards"
    words = f"{steps}, {plan.workers} workers"
    room = resources.room(settings.pretrain.cpus_per_worker, plan.gpus_per_worker)
    if plan.workers == plan.num_paths * plan.num_shards <= room // 2:
        words += f" of {room} that have room (--pretrain.shards makes work for more)"
    return words


def _trained_words(plan: Plan, settings: Settings) -> str:
    if not plan.num_steps:
        return ""
    pretrain = settings.pretrain
    numbers = plan.facts.trained_numbers
    return trained_words(pretrain.trainable, pretrain.trains_classifier, numbers)


def front_words(settings: Settings) -> str:
    """Return the objectives of a search that has several, as the end of a sentence."""
    goals = settings.search.goals
    return (
        f", the front of score and {' and '.join(map(WORDS.__getitem__, goals))}" if goals else ""
    )


def _limits_words(settings: Settings) -> str:
    words = settings.limits.words
    return ", " + " and ".join(words) if words else ""


def _learn_words(plan: Plan, settings: Settings) -> str:
    count = settings.num_trainings
    if not count:
        return ""
    chosen = ", from the lowest to the highest score" if settings.search.scores_by_trials else ""
    epochs, at_a_time = settings.training_epochs, min(plan.checkers, count)
    networks = f"the score from {count} networks{chosen}"
    return f"{networks}, trained for {epochs} epochs, {at_a_time} at a time"


def _shown_words(plan: Plan, settings: Settings) -> str:
    """Return what the epochs follow from, where not from what was asked for alone."""
    retrain, images = settings.retrain, plan.facts.train
    if retrain.seen is not None:
        return f" ({retrain.epochs * images:,} images shown)"
    per_epoch = math.ceil(images / retrain.batch)
    fewer, steps = (retrain.epochs - 1) * per_epoch, retrain.epochs * per_epoch
    follows = fewer < retrain.least_steps <= steps  # a budget may allow fewer
    return f" ({retrain.least_steps:,} steps at least)" if follows else ""


def _worker_words(plan: Plan) -> str:
    size = plan.trial_size
    if size.workers == 1:
        return ""
    gpus = f" and {size.gpus:g} GPU" if size.gpus else ""
    return f"each on {size.workers} workers of {size.cpus} CPU{gpus}, "


def _final_words(plan: Plan, settings: Settings) -> str:
    """Return what is trained on the validation images as well, as the end of a sentence."""
    images = f"on all {plan.facts.train + plan.facts.val:,} training and validation images"
    if settings.first_trained_on == "all":
        return f", {images}, since there is nothing to choose"
    finals = settings.num_finals
    first = "the first-ranked one" if finals == 1 else f"the {finals} first-ranked ones"
    return f", then {first} once more {images}" if finals else ""


def forecast_line(forecast: Usage) -> str:
    """Return the forecast as a line for a person."""
    times = [f"{name} {_show_range(stage)}" for name, stage in forecast.stages.items()]
    return f"{'forecast':<9} {', '.join(times)}, in all {total_words([forecast])}"


def total_words(forecasts: Sequence[Usage]) -> str:
    """Return what runs take, one after another, all stages together.

    Args:
        forecasts: Of each run.
    """
    stages = [stage for each in forecasts for stage in each.stages.values()]
    low, high = map(sum, zip(*(stage.range_seconds for stage in stages), strict=True))
    gpu_hours = sum(stage.gpu_hours for stage in stages)
    written = sum(stage.written_bytes for stage in stages)
    on_disk = sum(each.disk_bytes or 0 for each in forecasts)
    words = [
        f"{show_seconds(low)} to {show_seconds(high)}",
        *([f"{gpu_hours:.1f} GPU-hours"] if gpu_hours else []),
        f"{show_bytes(written)} written, {show_bytes(on_disk)} on disk at the end",
    ]
    return ", ".join(words)


def _show_range(stage: StageUsage) -> str:
    low, high = map(show_seconds, stage.range_seconds)
    return f"{show_seconds(stage.seconds)} ({low} to {high})"
