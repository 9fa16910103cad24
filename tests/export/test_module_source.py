"""The stand-alone module: it computes what raynas computes, for every space and every image."""

import os
import re
import subprocess
import venv
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from torch import nn

from raynas.data.batches import normalise
from raynas.data.decoding import Square, decode
from raynas.export.forward_source import SourceError
from raynas.export.module_source import import_file, largest_difference, module_source
from raynas.export.parts import parts_of
from raynas.spaces.chain import SearchSpace
from tests.builders import ROOT, shipped, shipped_space
from tests.data.samples import picture
from tests.exported import LITE, SHIPPED, SQUEEZED, as_file, crops, photographs, trained_network

CONSTANTS = {
    "CLASSES": ("a", 'b "quoted"', "c\\d"),
    "RESOLUTION": 32,
    "CHANNELS": 3,
    "BITS": 12,
    "RATIO": 0.875,
    "TEMPERATURE": 1.0,
    "MEAN": (0.4, 0.5, 0.3),
    "STD": (0.25, 0.2, 0.5),
}


def exported(space: SearchSpace, text: str, side: int = 32) -> tuple[str, bytes, torch.Tensor]:
    """Return a module's source, its weights, and the logits of raynas' own network."""
    architecture = space.parse(text)
    images = crops(8, side)
    network = trained_network(space, architecture, images, 3)
    parts = parts_of(network, space, architecture, (3, side, side))
    weights = {
        f"{part.name}.{name}": value.contiguous()
        for part in parts
        for name, value in part.module.state_dict().items()
    }
    with torch.no_grad():
        logits = network(images)
    return module_source("Title.", parts, CONSTANTS), safetensors.torch.save(weights), logits


@pytest.fixture(scope="module")
def small() -> tuple[str, bytes, torch.Tensor]:
    """Return a small module."""
    return exported(shipped_space("small_mobile", identity=True), SHIPPED["small_mobile"])


@pytest.fixture(scope="module")
def folder(
    small: tuple[str, bytes, torch.Tensor], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the folder of that module and its weights."""
    folder = tmp_path_factory.mktemp("export")
    (folder / "model.py").write_text(small[0])
    (folder / "weights.safetensors").write_bytes(small[1])
    return folder


@pytest.fixture(scope="module")
def module(folder: Path) -> ModuleType:
    """Return the small module, imported."""
    return import_file(folder / "model.py")


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_networks_of_every_shipped_space_compute_the_same_to_the_bit(name: str) -> None:
    source, weights, logits = exported(shipped(name, identity=True), SHIPPED[name])

    assert largest_difference(source, weights, crops(8, 32), logits) == 0.0
    assert logits.std() > 0.5  # or nothing was compared


@pytest.mark.parametrize("text", ["0-1-0", "1-1-2"])
def test_squeeze_excitations_and_smooth_activations_are_exported(text: str) -> None:
    source, weights, logits = exported(SQUEEZED, text)

    assert largest_difference(source, weights, crops(8, 32), logits) == 0.0
    assert source.count("class ScaledChannels(nn.Module):") == 1
    assert "nn.Hardswish(inplace=True)" in source
    assert logits.std() > 0.2  # or nothing was compared


@pytest.mark.parametrize("side", [32, 35])
def test_padding_by_the_size_of_the_input_is_exported_as_one_class(side: int) -> None:
    source, weights, logits = exported(LITE, "0-3-4-1", side)

    assert largest_difference(source, weights, crops(8, side), logits) == 0.0
    assert source.count("class SameConv2d(nn.Conv2d):") == 1
    assert source.count("SameConv2d(") == 4  # and in the stem and two layers of stride 2
    assert "eps=0.001" in source


def test_other_weights_are_noticed(small: tuple[str, bytes, torch.Tensor]) -> None:
    source, weights, logits = small

    with pytest.raises(SourceError, match=r"computes something else, by up to 0\.001"):
        largest_difference(source, weights, crops(8, 32), logits + 0.001)
    with pytest.raises(SourceError, match="computes something else, by up to nan"):
        largest_difference(source, weights, crops(8, 32), logits * torch.nan)


def test_what_does_not_run_is_noticed(small: tuple[str, bytes, torch.Tensor]) -> None:
    source, weights, logits = small

    with pytest.raises(SourceError, match="does not run"):
        largest_difference(
            source.replace("kernel_size=5", "kernel_size=3"), weights, crops(8, 32), logits
        )


def test_the_untrained_network_has_the_same_shape(module: ModuleType) -> None:
    built, loaded = module.build(), module.load()

    assert built.training
    assert not loaded.training
    assert {k: v.shape for k, v in built.state_dict().items()} == {
        k: v.shape for k, v in loaded.state_dict().items()
    }


def rotated() -> Image.Image:
    """Return a photograph whose header says that it lies on its side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return as_file(photographs()[0], "jpeg", exif=exif)


IMAGES = {
    "a large JPEG": lambda: as_file(photographs()[0], "jpeg"),
    "a turned JPEG": rotated,
    "CMYK": lambda: as_file(photographs()[0].convert("CMYK"), "jpeg"),
    "a PNG of its own size": lambda: as_file(photographs()[1].resize((32, 32)), "png"),
    "grey": lambda: as_file(photographs()[1].convert("L"), "png"),
    "palette": lambda: as_file(photographs()[1].convert("P"), "png"),
    "transparent": lambda: as_file(picture((200, 10, 10, 128), "RGBA", (40, 30)), "png"),
    "16 bits": lambda: as_file(picture(40000, "I;16", (40, 30)), "png"),
    "12 bits": lambda: as_file(picture(2500, "I;16", (40, 30)), "png"),
    "one bit": lambda: as_file(photographs()[1].convert("1"), "png"),
    "floats": lambda: as_file(picture(0.5, "F", (40, 30)), "tiff"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("kind", IMAGES)
@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_prepared_as_raynas_prepares_them_to_the_bit(
    kind: str, channels: int, module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    mean, std = (CONSTANTS[name][:channels] for name in ("MEAN", "STD"))  # type: ignore[index]
    for name, value in {"CHANNELS": channels, "MEAN": mean, "STD": std}.items():
        monkeypatch.setattr(module, name, value)
    pixels = decode(IMAGES[kind], Square(32, channels, 12, 0.875))
    assert pixels is not None
    numbers = SimpleNamespace(mean=np.float32(mean), std=np.float32(std))
    wanted = normalise(torch.from_numpy(np.array(pixels))[None], numbers)  # type: ignore[arg-type]

    assert torch.equal(module.preprocess(IMAGES[kind]()), wanted)


def test_probabilities_add_up_and_the_largest_comes_first(module: ModuleType) -> None:
    ranking = module.classify(module.load(), IMAGES["a large JPEG"]())

    assert sum(share for _, share in ranking) == pytest.approx(1)
    assert [share for _, share in ranking] == sorted((s for _, s in ranking), reverse=True)
    assert {name for name, _ in ranking} == set(CONSTANTS["CLASSES"])  # type: ignore[call-overload]


def test_a_person_reads_nothing_of_linters_formatters_or_raynas_own_modules(
    small: tuple[str, bytes, torch.Tensor],
) -> None:
    source, _, _ = small

    assert not re.search(r"noqa|fmt:|type: ignore|import raynas|from raynas", source)
    assert max(map(len, source.splitlines())) <= 100
    assert source.startswith('"""Title.\n')


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_it_runs_in_a_fresh_environment_without_raynas(folder: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    packages = Path(torch.__file__).parents[1]
    for path in packages.iterdir():  # what pip would install beside torch, numpy, pillow...
        if not path.name.lower().startswith(("raynas", "__editable__", "_raynas", "ray")) and (
            path.suffix != ".pth"
        ):
            (site / path.name).symlink_to(path)
    image = tmp_path / "猫.jpg"
    photographs()[0].save(image)
    poor = os.environ | {"LC_ALL": "C"}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [python, "-E", "-X", "utf8=0", *words]
        return subprocess.run(
            command, cwd=tmp_path, env=poor, capture_output=True, text=True, check=False
        )

    assert "No module named 'raynas'" in run("-c", "import raynas").stderr
    end = run(str(folder / "model.py"), str(image))

    assert end.returncode == 0, end.stderr
    expected = import_file(folder / "model.py")
    name, share = expected.classify(expected.load(folder), Image.open(image))[0]
    escaped = os.fsencode(image).decode("ascii", "surrogateescape")
    escaped = escaped.encode("ascii", "backslashreplace").decode()
    assert end.stdout == f"{escaped}: {name} {share:.3f}\n"


def test_names_that_a_space_s_own_classes_take_do_not_hide_those_of_the_module() -> None:
    class Image(nn.Module):  # as PIL's
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + 1

    space = shipped_space("small_mobile", identity=True)
    architecture = space.parse(SHIPPED["small_mobile"])
    network = trained_network(space, architecture, crops(8, 32), 3)
    parts = parts_of(network, space, architecture, (3, 32, 32))
    parts[2].__dict__["module"] = Image()

    assert "class Image2(nn.Module)" in module_source("Title.", parts, CONSTANTS)


def test_the_copied_rules_are_those_that_raynas_decodes_by(
    small: tuple[str, bytes, torch.Tensor],
) -> None:
    rules = (ROOT / "raynas" / "data" / "pixel_formats.py").read_text()
    functions = re.findall(r"^def (\w+)", rules, re.MULTILINE)

    assert functions
    assert all(f"def {name}(" in small[0] for name in functions)
