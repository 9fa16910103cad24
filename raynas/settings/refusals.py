"""Settings that cannot work together, each refused in a sentence before anything starts."""

import shlex
from typing import TYPE_CHECKING

from raynas.costs.budget import parse_budget
from raynas.errors import UserError
from raynas.settings.pretrain import PretrainSettings
from raynas.settings.pretrain_refusals import refuse_unworkable_pretraining
from raynas.settings.ranges import refuse_out_of_range
from raynas.settings.retrain import RetrainSettings
from raynas.settings.scores import SCORES, SUMS, ZERO_COST_SCORES, is_sum
from raynas.settings.search import SearchSettings
from raynas.storage.rival_names import OF_START

if TYPE_CHECKING:
    from raynas.settings.settings import Settings


def refuse_unworkable(settings: "Settings") -> None:
    """Refuse numbers that cannot work, before anything starts.

    Raises:
        UserError: Names the setting, what it is and what it must be.
    """
    refuse_out_of_range(settings)
    if settings.budget is not None:
        parse_budget(settings.budget)
    pretrain, search = settings.pretrain, settings.search
    refuse_unworkable_pretraining(pretrain, search)
    _refuse_misfits(pretrain, search, bool(settings.architecture))
    _refuse_other_gpus(settings.retrain)
    _refuse_endless_rise(settings.retrain)
    _refuse_idle_finals(settings)
    _refuse_squares_to_cut(settings)
    _refuse_odd_seeds(settings)
    _refuse_unfit_goals(settings)
    _refuse_unmeasured(settings)
    _refuse_empty_bands(settings)
    _refuse_no_start(settings)
    _refuse_none_and_others(settings)


def _refuse_squares_to_cut(settings: "Settings") -> None:
    images = settings.images
    if images.crop == "random_resized" and images.in_memory == "yes":
        raise UserError(
            "--images.in-memory yes with --images.crop random_resized: squares are kept in memory, "
            "of which no parts of the originals can be cut; use shift, or leave --images.in-memory"
        )


def _refuse_misfits(pretrain: PretrainSettings, search: SearchSettings, is_given: bool) -> None:
    """Refuse samplings, scores and strategies that do not fit each other.

    Args:
        pretrain: Of the supernet.
        search: What reads it.
        is_given: Whether a person names networks, so that no score is read.
    """
    indicator, sampling, score = pretrain.layer_indicator, pretrain.sampling, search.score
    is_fair = not pretrain.trains_one_path
    if is_fair and (sampling == "fair_identity") != (indicator == "path"):
        raise UserError(
            f"--pretrain.sampling {sampling} with --pretrain.layer-indicator {indicator}: the "
            "identity path is trained by fair_identity and only there; use fair_identity with "
            "path, fair with parallel or none, or uniform or macs_bins with any"
        )
    reads = SCORES[score].layer_indicator
    needs_layer = reads == "always" or (reads == "weight" and search.layer_weight_sign != 0)
    if indicator == "none" and needs_layer:
        raise UserError(
            f"--search.score {score}: it needs a layer indicator, but --pretrain.layer-indicator "
            "is none; use bnnas or taylor, or path"
        )
    if is_given or not search.traits.maximises_score:
        return
    if pretrain.epochs == 0 and SCORES[score].needs_supernet:
        free = ", ".join(sorted(ZERO_COST_SCORES))
        raise UserError(
            f"--pretrain.epochs 0 with --search.score {score}: it is read off a pretrained "
            f"supernet; raise --pretrain.epochs, or use one of {free}"
        )
    if search.traits.needs_sums and not is_sum(score):
        raise UserError(
            f"--search {search.strategy} with --search.score {score}: it needs a sum over layers; "
            f"use one of {', '.join(SUMS)}, or --search evolution"
        )


def _refuse_unfit_goals(settings: "Settings") -> None:
    """Refuse several objectives where one is all that can be followed."""
    search, traits = settings.search, settings.search.traits
    if settings.trainings and not traits.maximises_score:
        raise UserError(
            f"--trainings {settings.trainings} with --search {search.strategy}: there is no score "
            "to learn; leave one of the two out"
        )
    if not search.goals:
        return
    objectives = f"--objectives {','.join(('score', *search.goals))}"
    too_far_apart = traits.keeps_distance and search.min_distance > 1
    if len(search.goals) > traits.most_costs or too_far_apart:
        raise UserError(f"--search {search.strategy} with {objectives}: {traits.no_front}")
    if settings.retrain.scheduler == "asha":
        raise UserError(
            f"--retrain.scheduler asha with {objectives}: it would stop the cheap networks of the "
            "front for being less accurate; use fifo"
        )


def _refuse_unmeasured(settings: "Settings") -> None:
    """Refuse a limit of latency, or latency as an objective, without a table of latencies."""
    if settings.latency_table is not None:
        return
    wants = {
        "--max-latency": settings.max_latency is not None,
        "--objectives latency": "latency" in settings.search.goals,
    }
    for flag in (flag for flag, is_wanted in wants.items() if is_wanted):
        raise UserError(
            f"{flag}: nobody has measured latencies for this search; measure them with python "
            f"launch/latency.py --space {shlex.quote(settings.space)}, and give "
            "--latency-table FILE"
        )


def _refuse_empty_bands(settings: "Settings") -> None:
    """Refuse a lower limit above the upper one of the same kind."""
    limits = settings.limits
    for kind, least in limits.least.items():
        most = limits.most.get(kind, least)
        if least > most:
            raise UserError(
                f"--min-{kind} {least:,} with --max-{kind} {most:,}: nothing lies between; "
                f"lower --min-{kind}, or raise --max-{kind}"
            )


def _refuse_no_start(settings: "Settings") -> None:
    """Refuse a supernet or rivals that begin from trained weights which nobody has named."""
    if settings.pretrain.initialisation == "start" and settings.start is None:
        raise UserError(
            "--pretrain.initialisation start: no trained weights are named; add --start SOURCE, "
            "such as efficientnet_lite0, or use qr"
        )
    no_supernet = settings.pretrain.epochs == 0 and not settings.architecture
    if settings.pretrain.initialisation == "start" and no_supernet:
        raise UserError(
            f"--pretrain.initialisation start with --method {settings.method}: no supernet is "
            "pretrained (--pretrain.epochs 0) that could begin from these weights; use --method "
            "fair_saliency, or leave one of the two out"
        )
    for name in settings.rival_names:
        if name in OF_START and settings.start is None:
            raise UserError(
                f"--rivals {name}: no trained weights are named; add --start SOURCE, such as "
                "efficientnet_lite0, or leave it out"
            )


def _refuse_none_and_others(settings: "Settings") -> None:
    """Refuse rivals that are said to be none, and named."""
    names = {name.strip() for name in settings.rivals.split(",")}
    if "none" in names and len(names) > 1:
        raise UserError(
            f"--rivals {settings.rivals}: got none and others; leave none out, or the others"
        )


def _refuse_other_gpus(retrain: RetrainSettings) -> None:
    """Refuse GPUs of a trial that its workers cannot have one each."""
    gpus, workers = retrain.gpus_per_trial or 0.0, retrain.workers_per_trial
    if gpus and workers is not None and workers != max(int(gpus), 1):
        raise UserError(
            f"--retrain.workers-per-trial {workers} with --retrain.gpus-per-trial {gpus:g}: "
            "wanted a GPU for each worker; leave one of the two out, or set both to the same"
        )


def _refuse_endless_rise(retrain: RetrainSettings) -> None:
    """Refuse a warm-up that leaves the schedule no epoch, where epochs are known already."""
    if retrain.seen is not None:
        return
    if retrain.warmup_epochs >= retrain.epochs:
        raise UserError(
            f"--retrain.warmup-epochs {retrain.warmup_epochs:g} with --retrain.epochs "
            f"{retrain.epochs}: wanted less, since the rate falls after it has risen; lower it, or "
            "raise --retrain.epochs"
        )


def _refuse_idle_finals(settings: "Settings") -> None:
    """Refuse more final trainings than there are networks, and some where there are none."""
    finals, networks = settings.retrain.final_k, settings.num_winners
    if finals > 1 and settings.retrain.on == "train":
        raise UserError(
            f"--retrain.final-k {finals} with --retrain.on train: no network is trained once more; "
            "use --retrain.on all, or leave --retrain.final-k out"
        )
    if finals > networks:
        raise UserError(
            f"--retrain.final-k {finals}: the run retrains {networks} networks, wanted no more "
            "than these; lower it, or raise --retrain.top-k"
        )


def _refuse_odd_seeds(settings: "Settings") -> None:
    """Refuse searches side by side whose seeds would leave the range of seeds."""
    searches, first = settings.differentiable.seeds, settings.seed
    if settings.search.traits.is_differentiable and first + searches > 2**63:
        raise UserError(
            f"--differentiable.seeds {searches} with --seed {first}: the last seed would be "
            f"{first + searches - 1}, wanted less than 2^63; lower --seed"
        )
