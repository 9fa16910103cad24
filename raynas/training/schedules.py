"""The learning rate of a retraining, step by step."""

import math

from raynas.settings.retrain import RetrainSettings


def learning_rate(settings: RetrainSettings, step: int, steps_per_epoch: int) -> float:
    """Return the rate of a step: a line up to the peak, then the schedule over what is left.

    Args:
        settings: The peak, the schedule and the length of both parts.
        step: Its number, from 0.
        steps_per_epoch: Of the training.
    """
    peak = settings.learning_rate
    rising = settings.warmup_epochs * steps_per_epoch
    if step < rising:
        return peak * step / rising
    if settings.schedule == "exponential":  # d^e, with e whole epochs since the peak
        return float(peak * settings.schedule_decay ** ((step - rising) // steps_per_epoch))
    progress = (step - rising) / (steps_per_epoch * settings.epochs - rising)
    if settings.schedule == "linear":
        return peak * max(1 - progress, 0.0)
    return peak * 0.5 * (1 + math.cos(math.pi * progress))
