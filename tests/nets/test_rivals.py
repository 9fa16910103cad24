"""Networks of torchvision and timm by name: what they cost, how wide they are, what they take."""

import pytest
import torch
from torch import nn
from torchvision import models

from raynas.costs.costs import Cost, Limits
from raynas.costs.latency_table import Task
from raynas.errors import UserError
from raynas.nets.rivals import Rival, cost_of, fitted, known_names, refuse_unknown
from raynas.nets.timing import Setup, latency_of

IMAGENET = Task(channels=3, resolution=224, num_classes=1000)
SMALL = Task(channels=3, resolution=32, num_classes=10)

# multiply-adds and parameters as torchvision's documentation prints them, rounded there
GOLDEN = {
    "mobilenet_v2": Cost(300_774_272, 3_504_872),
    "shufflenet_v2_x1_0": Cost(144_907_992, 2_278_604),
    "efficientnet_b0": Cost(385_814_752, 5_288_548),
    "mobilenet_v3_small": Cost(56_510_400, 2_542_856),
    "mobilenet_v3_large": Cost(216_589_760, 5_483_032),
    "resnet18": Cost(1_814_073_344, 11_689_512),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_known_networks_cost_what_is_known_of_them(name: str) -> None:
    assert fitted(name, IMAGENET, Limits()) == (Rival(name), GOLDEN[name])


def test_an_efficientnet_of_width_one_is_torchvision_s_own() -> None:
    with torch.device("meta"):
        ours = Rival("efficientnet_b0", 1.0).build(IMAGENET).state_dict()
        theirs = models.efficientnet_b0().state_dict()

    assert [(name, value.shape) for name, value in ours.items()] == [
        (name, value.shape) for name, value in theirs.items()
    ]


@pytest.mark.parametrize("limit", [2_000_000, 12_345_678])
def test_a_family_is_as_wide_as_the_limit_allows(limit: int) -> None:
    rival, cost = fitted("mobilenet_v2", SMALL, Limits(max_macs=limit))
    assert rival.width is not None

    assert cost.macs <= limit
    if rival.width < 2:
        wider = Rival("mobilenet_v2", round(rival.width + 0.05, 2))
        assert cost_of(wider, SMALL).macs > limit


def test_shuffle_networks_come_in_the_four_widths_that_were_published() -> None:
    found = [
        str(fitted("shufflenet_v2_x1_0", IMAGENET, Limits(max_macs=limit))[0])
        for limit in (50_000_000, 146_000_000, 10**9)
    ]

    assert found == ["shufflenet_v2_x0_5", "shufflenet_v2_x1_0", "shufflenet_v2_x2_0"]


def test_a_limit_of_latency_is_kept_by_timing_networks() -> None:
    def pretended(rival: Rival) -> int:
        return int(1e6 * float(rival.name[-3:].replace("_", ".")))

    rival, cost = fitted("shufflenet_v2_x1_0", SMALL, Limits(max_latency=1_200_000), pretended)

    assert (str(rival), cost.latency) == ("shufflenet_v2_x1_0", 1_000_000)
    with pytest.raises(UserError, match="shufflenet_v2_x0_5 has 500us, and 10us are allowed"):
        fitted("shufflenet_v2_x1_0", SMALL, Limits(max_latency=10_000), pretended)


@pytest.mark.parametrize(
    ("name", "task", "limits", "said"),
    [
        ("resnet18", SMALL, Limits(max_macs=1_000_000), "resnet18 has .* are allowed"),
        ("mobilenet_v2", SMALL, Limits(max_params=1000), "mobilenet_v2@0.05 has .*parameters"),
        ("vgg11", Task(1, 8, 10), Limits(), "vgg11 cannot take images of 8 x 8 pixels"),
    ],
)
def test_what_cannot_keep_the_limits_or_take_the_images_says_so(
    name: str, task: Task, limits: Limits, said: str
) -> None:
    with pytest.raises(UserError, match=said):
        fitted(name, task, limits)


@pytest.mark.parametrize(
    "name", ["mobilenet_v2", "shufflenet_v2_x0_5", "resnet18", "regnet_y_400mf"]
)
def test_grey_images_are_taken_and_answered_with_a_number_a_class(name: str) -> None:
    network = Rival(name).build(Task(channels=1, resolution=32, num_classes=7))

    assert network(torch.randn(2, 1, 32, 32)).shape == (2, 7)


@pytest.mark.parametrize("text", ["mobilenet_v2", "mobilenet_v2@0.35", "timm/resnet10t"])
def test_a_rival_is_read_as_it_is_written(text: str) -> None:
    assert str(Rival.parse(text)) == text


def test_unknown_names_are_refused_with_one_that_is_near() -> None:
    with pytest.raises(UserError, match=r"--rivals mobilnet_v2: .* did you mean mobilenet_v2"):
        refuse_unknown("mobilnet_v2")
    for name in known_names()[:3]:
        refuse_unknown(name)


def test_networks_of_timm_are_there_by_name() -> None:
    pytest.importorskip("timm")
    rival, cost = fitted("timm/mobilenetv3_small_050", SMALL, Limits())

    assert cost.params == sum(parameter.numel() for parameter in rival.build(SMALL).parameters())
    with pytest.raises(UserError, match="timm has no network of that name"):
        refuse_unknown("timm/mobilenetv3_smal_050")


def test_a_network_is_timed_in_nanoseconds_and_one_of_more_work_takes_longer() -> None:
    setup = Setup(batch=1, channels=3, resolution=32, num_classes=10, device="cpu")
    small, large = (nn.Conv2d(3, width, 3, padding=1) for width in (4, 256))

    assert 1_000 < latency_of(small, setup) < latency_of(large, setup) < 10**9
