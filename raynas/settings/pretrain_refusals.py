"""Settings of a pretraining that cannot work together, each refused in a sentence."""

from raynas.costs.costs import show_quantity
from raynas.errors import UserError
from raynas.settings.pretrain import PretrainSettings
from raynas.settings.scores import INDICATOR_SCORES
from raynas.settings.search import SearchSettings


def refuse_unworkable_pretraining(pretrain: PretrainSettings, search: SearchSettings) -> None:
    """Refuse numbers of a pretraining that cannot work together.

    Raises:
        UserError: Names the setting, what it is and what it must be.
    """
    _refuse_other_last_rates(pretrain)
    _refuse_lost_scales(pretrain)
    _refuse_uninherited_norms(pretrain)
    _refuse_unread_indicators(pretrain, search)
    if pretrain.sampling == "macs_bins":
        _refuse_no_bins(pretrain)


def _refuse_other_last_rates(pretrain: PretrainSettings) -> None:
    last, first = pretrain.last_rate, pretrain.learning_rate
    if last >= first:
        raise UserError(
            f"--pretrain.last-rate {last:g}: wanted less than --pretrain.learning-rate {first:g}, "
            "from which it falls; for a rate that stays use --pretrain.schedule constant"
        )
    if last and pretrain.schedule == "constant":
        raise UserError(
            f"--pretrain.last-rate {last:g} with --pretrain.schedule constant: the rate does not "
            "fall; use linear or cosine, or leave --pretrain.last-rate at 0"
        )


def _refuse_unread_indicators(pretrain: PretrainSettings, search: SearchSettings) -> None:
    """Refuse scores of indicators where no batch norm learns: all would stay what they were."""
    reads = search.score in INDICATOR_SCORES and not search.traits.is_differentiable
    if pretrain.trainable == "weights" and reads:
        raise UserError(
            f"--search.score {search.score} with --pretrain.trainable weights: it is read off "
            "batch norms, of which none learns; use --search.score accuracy, or another set, such "
            "as all"
        )


def _refuse_lost_scales(pretrain: PretrainSettings) -> None:
    """Refuse inherited weights whose batch norms would lose their scales."""
    if pretrain.initialisation == "start" and pretrain.trainable == "weights":
        raise UserError(
            "--pretrain.initialisation start with --pretrain.trainable weights: batch norms have "
            "no scale there, which inherited weights do not work without; use all, or qr"
        )


def _refuse_uninherited_norms(pretrain: PretrainSettings) -> None:
    """Refuse batch norms beside candidates where these inherit: no network has their like."""
    if pretrain.initialisation == "start" and pretrain.layer_indicator == "parallel":
        raise UserError(
            "--pretrain.initialisation start with --pretrain.layer-indicator parallel: the batch "
            "norms beside candidates have nothing to inherit, so they would say nothing of their "
            "layers; use path or none, or qr"
        )


def _refuse_no_bins(pretrain: PretrainSettings) -> None:
    first, last, width = pretrain.bins
    given = {"bins-from": first, "bins-to": last, "bin-width": width}
    missing = [f"--pretrain.{name}" for name, value in given.items() if value is None]
    if first is None or last is None or width is None:
        raise UserError(
            f"--pretrain.sampling macs_bins: it needs {' and '.join(missing)}; SPOS's bins are "
            "--pretrain.bins-from 290M --pretrain.bins-to 360M --pretrain.bin-width 10M"
        )
    if last <= first or (last - first) % width:
        raise UserError(
            f"--pretrain.bins-from {show_quantity(first)} --pretrain.bins-to "
            f"{show_quantity(last)} --pretrain.bin-width {show_quantity(width)}: wanted one or "
            "more whole bins between the two, as from 290M to 360M by 10M"
        )
