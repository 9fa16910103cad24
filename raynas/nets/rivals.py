"""Networks that people would take instead of searching: torchvision's and timm's, by name.

Of a family with a width multiplier the widest member is taken that keeps the limits. Costs are
counted like those of a search's own networks, on the meta device.
"""

import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
import torchvision
from torch import nn
from torchvision import models
from torchvision.models.efficientnet import EfficientNet, MBConvConfig

from raynas.costs.costs import Cost, Limits
from raynas.costs.latency_table import Task
from raynas.costs.within_limits import largest_within
from raynas.errors import UserError
from raynas.nets.measured import measure

PRETRAINED = ", pretrained"
"""With what the text of a network ends that begins from its library's weights."""
TIMM = "timm/"
"""What a name begins with whose network is timm's."""

_MOST_WIDTH, _STEPS = 2.0, 40  # widths are multiples of 0.05
_SHUFFLES = {0.5: "0_5", 1.0: "1_0", 1.5: "1_5", 2.0: "2_0"}

# EfficientNet-B0 (Tan & Le 2019, table 1): expansion, kernel, stride, channels in and out, layers
_B0 = (
    (1, 3, 1, 32, 16, 1),
    (6, 3, 2, 16, 24, 2),
    (6, 5, 2, 24, 40, 2),
    (6, 3, 2, 40, 80, 3),
    (6, 5, 1, 80, 112, 3),
    (6, 5, 2, 112, 192, 4),
    (6, 3, 1, 192, 320, 1),
)


@dataclass(frozen=True)
class Rival:
    """A network beside those of the search.

    Attributes:
        name: As a person asks for it, such as mobilenet_v2 or timm/mobilenetv3_small_050.
        width: Its multiplier of channels; None: it has none.
        pretrained: Whether it begins from the weights that its library has of it.
    """

    name: str
    width: float | None = None
    pretrained: bool = False

    def __str__(self) -> str:
        width = "" if self.width is None else f"@{self.width:g}"
        return f"{self.name}{width}{PRETRAINED if self.pretrained else ''}"

    @classmethod
    def parse(cls, text: str) -> "Rival":
        """Read what ``str`` makes of one."""
        name, _, width = text.removesuffix(PRETRAINED).partition("@")
        return cls(name, float(width) if width else None, text.endswith(PRETRAINED))

    def build(self, task: Task) -> nn.Module:
        """Return it with new weights: images N x channels x H x W to logits N x classes.

        Raises:
            UserError: No such name, or timm is not there.
        """
        if self.name.startswith(TIMM):
            return _from_timm(self.name.removeprefix(TIMM), task)
        refuse_unknown(self.name)
        options = {"num_classes": task.num_classes} | _options(self.name, task)
        if self.width is None:
            network = models.get_model(self.name, weights=None, **options)
        else:
            network = _wide(self.name)(self.width, **options)
        return network if task.channels == 3 else _of_channels(network, task.channels)


def known_names() -> list[str]:
    """Return torchvision's names of networks that classify images."""
    return list(models.list_models(module=torchvision.models))


def refuse_unknown(name: str, flag: str = "--rivals") -> None:
    """Refuse a name that neither torchvision nor timm has, and timm's where that is missing.

    Args:
        name: Of a network.
        flag: That a person gave it by.

    Raises:
        UserError: With a name that is near.
    """
    if name.startswith(TIMM):
        known, where = _timm(flag).list_models(), "timm"
        name = name.removeprefix(TIMM)
    else:
        known, where = known_names(), "torchvision"
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "wanted one such as mobilenet_v2, or random"
        raise UserError(f"{flag} {name}: {where} has no network of that name; {hint}")


def fitted(
    name: str, task: Task, limits: Limits, latency_of: Callable[[Rival], int] | None = None
) -> tuple[Rival, Cost]:
    """Return a network by its name, as wide as limits allow.

    Without limits a family is taken at its published width.

    Args:
        name: Of torchvision or timm.
        task: What it is to classify.
        limits: What it may cost.
        latency_of: Times a network, nanoseconds; None: latencies are not known.

    Raises:
        UserError: It cannot take such images, or even the narrowest member costs too much.
    """
    members = list(_members(name, is_limited=bool(limits.most)))
    return largest_within(members, lambda member: cost_of(member, task), limits, latency_of)


@cache
def cost_of(rival: Rival, task: Task) -> Cost:
    """Return what a network costs for one image, by the counter of the search's own networks.

    Raises:
        UserError: It cannot take such images.
    """
    images = torch.empty(1, task.channels, task.resolution, task.resolution, device="meta")
    try:
        cost, logits = measure(_without_weights(rival, task), images)
    except (RuntimeError, ValueError, AssertionError, TypeError) as error:
        why = str(error).partition("\n")[0]
        raise UserError(
            f"{rival} cannot take images of {task.resolution} x {task.resolution} pixels ({why})"
        ) from error
    if not isinstance(logits, torch.Tensor) or logits.shape != (1, task.num_classes):
        raise UserError(f"{rival} does not answer with one number a class")
    return cost


def shapes_of(rival: Rival, task: Task) -> dict[str, torch.Size]:
    """Return the shapes of all that decides what a network computes, by the library's names.

    Raises:
        UserError: It cannot take such images.
    """
    cost_of(rival, task)  # says what does not work
    tensors = _without_weights(rival, task).state_dict()
    return {name: each.shape for name, each in tensors.items() if each.dim()}


def first_convolution(network: nn.Module) -> tuple[str, nn.Conv2d]:
    """Return the convolution that sees the images, and its name."""
    named = network.named_modules()
    return next((name, part) for name, part in named if isinstance(part, nn.Conv2d))


def _without_weights(rival: Rival, task: Task) -> nn.Module:
    """Return a network on the meta device, where it takes no memory if its builder allows that."""
    with torch.random.fork_rng(devices=[]):
        try:
            with torch.device("meta"):
                return rival.build(task)
        except (RuntimeError, NotImplementedError):  # RegNets compute widths by tensors
            return rival.build(task).to("meta")


def _members(name: str, is_limited: bool) -> Iterator[Rival]:
    """Yield the members of a family from the narrowest, or the one network that there is."""
    if name.startswith("shufflenet_v2_x"):
        own = next(width for width, text in _SHUFFLES.items() if name.endswith(text))
        widths = list(_SHUFFLES) if is_limited else [own]
        yield from (Rival(f"shufflenet_v2_x{_SHUFFLES[width]}") for width in widths)
    elif is_limited and _is_family(name):
        steps = range(1, _STEPS + 1)
        yield from (Rival(name, round(_MOST_WIDTH * step / _STEPS, 2)) for step in steps)
    else:
        yield Rival(name)


def _is_family(name: str) -> bool:
    return name in {"mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "efficientnet_b0"}


def _wide(name: str) -> Callable[..., nn.Module]:
    """Return what builds a member of a family: width, and further options by name."""
    if name == "efficientnet_b0":
        return _wide_efficientnet
    return partial(_wide_mobilenet, name)


def _wide_mobilenet(name: str, width: float, **options: Any) -> nn.Module:
    network: nn.Module = models.get_model(name, weights=None, width_mult=width, **options)
    return network


def _wide_efficientnet(width: float, **options: Any) -> nn.Module:
    rows = [MBConvConfig(*row, width_mult=width, depth_mult=1.0) for row in _B0]
    network: nn.Module = EfficientNet(rows, dropout=0.2, **options)
    return network


def _options(name: str, task: Task) -> dict[str, Any]:
    """Return what a builder needs so that its network answers with logits alone."""
    if name in {"googlenet", "inception_v3"}:
        return {"aux_logits": False, "init_weights": True}
    return {"image_size": task.resolution} if name.startswith("vit_") else {}


def _of_channels(network: nn.Module, channels: int) -> nn.Module:
    """Return a network for colour as one for images of so many channels."""
    name, first = first_convolution(network)
    taps: Any = {
        name: getattr(first, name) for name in ("kernel_size", "stride", "padding", "dilation")
    }
    new = nn.Conv2d(channels, first.out_channels, bias=first.bias is not None, **taps)
    place, _, last = name.rpartition(".")
    setattr(network.get_submodule(place), last, new)
    return network


def _from_timm(name: str, task: Task) -> nn.Module:
    network: nn.Module = _timm().create_model(
        name, pretrained=False, num_classes=task.num_classes, in_chans=task.channels
    )
    return network


def _timm(flag: str = "--rivals") -> Any:
    try:
        import timm  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise UserError(
            f"{flag} timm/...: timm is not installed; pip install 'raynas[timm]'"
        ) from error
    return timm
