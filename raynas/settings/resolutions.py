"""Runs that differ in the size of their images: a smaller picture buys channels and layers."""

from collections.abc import Sequence
from dataclasses import replace

from raynas.errors import UserError
from raynas.settings.settings import Settings
from raynas.storage.rival_names import RANDOM


def read_resolutions(text: str) -> tuple[int, ...]:
    """Return the resolutions that a text such as ``96,112,128`` names, in its order.

    Raises:
        UserError: They are no whole numbers from 1 on, fewer than two, or one comes twice.
    """
    words = [word.strip() for word in text.split(",")]
    try:
        found = tuple(map(int, words))
    except ValueError:
        found = ()
    if len(found) < 2 or min(found) < 1:
        raise UserError(
            f"--resolutions {text}: wanted two or more sides of images in pixels, with commas "
            "between, such as 96,112,128; --resolution takes a single one"
        )
    for each in found:
        if found.count(each) > 1:
            raise UserError(f"--resolutions {text}: got {each} twice; leave one of them out")
    return found


def at_resolutions(settings: Settings, resolutions: Sequence[int]) -> dict[int, Settings]:
    """Return the settings of a run at each resolution; they differ in that and in the rivals.

    Rivals are trained at the largest resolution alone, where the network of ``start`` is at its
    best and of which ``scaled_start`` has all smaller ones; but ``random``, which tells a search
    from its space, is trained at each where it is named or ``start`` is given.

    Args:
        settings: What all have in common; their own resolution does not count.
        resolutions: Sides in pixels, in the order of the runs.

    Raises:
        UserError: They hold what fits one resolution alone, or leave nothing to choose by.
    """
    _refuse_single(settings)
    largest = max(resolutions)
    elsewhere = replace(settings, rivals=_rivals_elsewhere(settings))
    return {
        each: replace(
            settings if each == largest else elsewhere,
            images=replace(settings.images, resolution=each),
        )
        for each in resolutions
    }


def _rivals_elsewhere(settings: Settings) -> str:
    """Return which rivals are trained at all resolutions but the largest."""
    implied = settings.has_auto_rivals and settings.start is not None
    return RANDOM if implied or RANDOM in settings.rival_names else "none"


def _refuse_single(settings: Settings) -> None:
    """Refuse what runs at several resolutions cannot share."""
    if settings.budget is not None:
        raise UserError(
            f"--budget {settings.budget} with --resolutions: it is that of one run; leave it out "
            "and give --retrain.epochs and --trainings, or search each resolution by itself"
        )
    if settings.latency_table is not None:
        raise UserError(
            "--latency-table with --resolutions: latencies are those of one resolution; limit "
            "--max-macs instead, or search each resolution by itself"
        )
    if settings.first_trained_on == "all":
        raise UserError(
            "--retrain.on all with one network and --resolutions: a resolution is chosen by "
            "validation images, on which that network is trained; raise --retrain.top-k to 2, or "
            "use --retrain.on train"
        )
