"""A network's source: what it says, that it computes the same, and what cannot be said."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from raynas.export.forward_source import SourceError, forward_source
from raynas.export.network_source import Step, network_source
from tests.builders import build_images


class Gate(nn.Module):
    """Scales channels by what the whole image says; a second line that nobody copies.

    It has a list of layers, a parameter and a buffer of its own, and constants.
    """

    def __init__(self, channels: int, power: float = 2.0) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Conv2d(channels, channels, 1), nn.ReLU()])
        self.scale = nn.Parameter(torch.linspace(1, 2, channels)[:, None, None])
        self.register_buffer("shift", torch.linspace(0, 1, channels)[:, None, None])
        self.power = power

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return N x C x H x W."""
        y = x.mean((2, 3), keepdim=True)
        for layer in self.layers:
            y = layer(y)
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        return functional.hardswish(x[:, :, :h] * self.scale) * torch.sigmoid(y) ** self.power + (
            self.shift
        )


class Fickle(nn.Module):
    """Decides by what it sees."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x, or minus x."""
        return x if x.sum() > 0 else -x


class Forgetful(nn.Module):
    """Has a buffer that is not saved."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.ones(1), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x, scaled."""
        return x * self.table


class Chain(nn.Sequential):
    """A sequence under another name."""


class Linear(nn.Module):
    """Has the name of a layer of torch and does something else."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return twice x."""
        return x + x


def written(*modules: nn.Module, reserved: tuple[str, ...] = ()) -> str:
    """Return the source of a network of those modules."""
    steps = [Step(f"part{n}", module, "N x C") for n, module in enumerate(modules)]
    return network_source(steps, "For a test.", reserved)


def rebuilt(source: str, folder: Path) -> nn.Module:
    """Return the network that a source makes, imported from a file."""
    from raynas.export.module_source import import_file  # noqa: PLC0415 - a floor above

    (folder / "made.py").write_text(
        f"from collections import OrderedDict\n\nimport torch\nfrom torch import nn\n\n\n{source}"
    )
    network: nn.Module = import_file(folder / "made.py").Network()
    return network


shared = nn.ReLU()


@pytest.mark.parametrize(
    "module",
    [
        Gate(4),
        nn.Sequential(OrderedDict(first=nn.Conv2d(4, 6, (3, 1), padding="same"), then=Gate(6))),
        nn.Sequential(shared, nn.Conv2d(4, 4, 3, 2, 1, padding_mode="reflect"), shared),
        Chain(nn.GroupNorm(2, 4), nn.PReLU(4), nn.MaxPool2d(3, 1), nn.GELU("tanh")),
        nn.Sequential(nn.LayerNorm((8, 8), eps=1e-3), nn.Upsample(scale_factor=2), Linear()),
    ],
    ids=["own class", "named", "shared", "subclass", "tuples"],
)
def test_what_is_written_computes_what_the_modules_compute(
    module: nn.Module, tmp_path: Path
) -> None:
    images = build_images(2, 4, 8)
    twin = rebuilt(written(module), tmp_path)
    weights = {f"part0.{name}": value for name, value in module.state_dict().items()}
    twin.load_state_dict(weights)

    with torch.no_grad():
        assert torch.equal(twin(images), module(images))


def test_a_forward_reads_as_a_person_would_write_it() -> None:
    class Halves(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.branch = nn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([x[:, 0::2], self.branch(x[:, 1::2])], dim=1)

    assert forward_source(Halves()) == (
        "def forward(self, x):\n    return torch.cat([x[:, 0::2], self.branch(x[:, 1::2])], dim=1)"
    )


def test_operations_that_work_in_place_keep_their_order(tmp_path: Path) -> None:
    class Order(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            before = x * 2
            after = x.mul_(3)
            return after + before

    twin = rebuilt(written(nn.Identity(), Order()), tmp_path)
    images = build_images(2, 4, 8)

    assert torch.equal(twin(images.clone()), Order()(images.clone()))


def test_layers_are_written_with_what_is_unusual_about_them_alone() -> None:
    source = written(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8))

    assert "self.part0 = nn.Conv2d(3, 8, kernel_size=3, padding=1, bias=False)\n" in source
    assert "self.part1 = nn.BatchNorm2d(8)\n" in source


def test_what_layers_do_not_tell_of_themselves_is_written_all_the_same(tmp_path: Path) -> None:
    """Torch's own text of an average pooling leaves its last arguments out."""
    pools = (
        nn.AvgPool2d(3, 2, 1, count_include_pad=False),
        nn.AvgPool2d(3, 2, ceil_mode=True),
        nn.MaxPool2d(3, 2, ceil_mode=True),
    )
    source, x = written(*pools), build_images(2, 3, 20)

    assert "nn.AvgPool2d(kernel_size=3, stride=2, padding=1, count_include_pad=False)" in source
    assert torch.equal(rebuilt(source, tmp_path)(x), nn.Sequential(*pools)(x))


def test_the_same_class_is_written_once_and_another_of_its_name_gets_a_number() -> None:
    source = written(Gate(4), Gate(4), Gate(4, power=3.0))

    assert source.count("class Gate(nn.Module):") == 1
    assert source.count("class Gate2(nn.Module):") == 1
    assert (
        '    """Scales channels by what the whole image says; a second line that nobody' in source
    )


def test_no_class_takes_a_name_that_is_taken() -> None:
    assert "class Gate2(nn.Module)" in written(Gate(4), reserved=("Gate",))


@pytest.mark.parametrize(
    ("module", "why"),
    [
        (Fickle(), "part0: its forward cannot be traced (TraceError: .*control flow)"),
        (Forgetful(), "part0: its buffer table is not saved with its weights"),
        (nn.TransformerEncoderLayer(4, 2), "part0: its forward cannot be traced"),
    ],
    ids=["decides", "buffer", "transformer"],
)
def test_what_cannot_be_written_is_named_in_a_sentence(module: nn.Module, why: str) -> None:
    with pytest.raises(SourceError, match=why.replace("(T", r"\(T").replace("w)", r"w\)")):
        written(module)


def test_a_function_that_is_not_torch_s_is_refused() -> None:
    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            return x.to(torch.device("cpu"))

    with pytest.raises(SourceError, match="uses device, which torch does not have"):
        forward_source(Odd())
