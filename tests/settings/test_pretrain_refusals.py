"""Settings of a pretraining that cannot work together are refused in a sentence."""

from typing import Any

import pytest

from raynas.errors import UserError
from raynas.settings.pretrain import PretrainSettings
from raynas.settings.search import SearchSettings
from raynas.settings.settings import Settings

BINS: dict[str, Any] = {
    "sampling": "macs_bins",
    "bins_from": 290_000_000,
    "bins_to": 360_000_000,
    "bin_width": 10_000_000,
}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({**BINS, "bins_from": None}, "macs_bins: it needs --pretrain.bins-from; SPOS's bins"),
        (
            {**BINS, "bins_to": None, "bin_width": None},
            "it needs --pretrain.bins-to and --pretrain.bin-width; SPOS's bins",
        ),
        ({**BINS, "bins_to": 290_000_000}, "--pretrain.bins-to 290M .* one or more whole bins"),
        ({**BINS, "bin_width": 80_000_000}, "--pretrain.bin-width 80M: wanted one or more whole"),
        ({"last_rate": 0.02}, r"last-rate 0.02: wanted less than --pretrain.learning-rate 0.02"),
        (
            {"last_rate": 0.01, "schedule": "constant"},
            "last-rate 0.01 with --pretrain.schedule constant: the rate does not fall",
        ),
        ({"initialisation": "start"}, "no trained weights are named; add --start SOURCE"),
        (
            {"initialisation": "start", "trainable": "weights"},
            "start with --pretrain.trainable weights: batch norms have no scale there",
        ),
        (
            {"initialisation": "start", "layer_indicator": "parallel", "sampling": "fair"},
            "start with --pretrain.layer-indicator parallel: .* have nothing to inherit",
        ),
        (
            {"trainable": "weights"},
            "score balanced_saliency with --pretrain.trainable weights: .* of which none learns",
        ),
    ],
)
def test_what_cannot_work_is_refused_by_its_name(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said) as refusal:
        Settings(pretrain=PretrainSettings(**changed))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("indicator", ["path", "parallel", "none"])
def test_bins_go_with_any_layer_indicator_and_one_path_a_step(indicator: Any) -> None:
    pretrain = PretrainSettings(**BINS, layer_indicator=indicator)
    search = SearchSettings(score="accuracy")

    assert Settings(pretrain=pretrain, search=search).pretrain.trains_one_path


def test_weights_alone_go_with_accuracy() -> None:
    pretrain = PretrainSettings(trainable="weights")

    assert Settings(pretrain=pretrain, search=SearchSettings(score="accuracy")).pretrain == pretrain
