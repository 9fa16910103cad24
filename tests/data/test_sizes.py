"""Sizes of images, resolution and space: what fits, what does not, and what is said of it."""

from dataclasses import replace

import pytest
import torch

from raynas.data.dataset import Dataset
from raynas.data.sizes import refuse_tiny_images, size_warnings, size_words
from raynas.errors import UserError
from raynas.nets.cost import map_sides
from raynas.nets.subnet import subnet
from raynas.spaces.architecture import Architecture
from tests.builders import build_space, shipped_cells, shipped_space
from tests.data.samples import build_dataset


def dataset(side: int, *own: int) -> Dataset:
    """Return images of some side that were resized from smallest, median and largest."""
    low, middle, high = own or (side,) * 3
    return replace(build_dataset(count=6, side=side), sides=(low, middle, high))


def warning(space: str, images: Dataset, asked: int | None = None) -> str:
    """Return the one sentence that is said."""
    (sentence,) = size_warnings(shipped_space(space), images, asked)
    return sentence


class TestWords:
    def test_images_of_one_size_that_stay_as_they_are_need_none(self) -> None:
        assert size_words(dataset(8)) == ""
        assert size_words(build_dataset()) == ""

    def test_the_images_own_sizes_are_told_where_they_are_resized(self) -> None:
        assert size_words(dataset(8, 90, 300, 626)) == (
            "images of 90 to 626 pixels (half above 300), cut to squares and resized"
        )
        assert size_words(dataset(8, 28, 28, 28)).startswith("images of 28 pixels, ")


class TestWarnings:
    @pytest.mark.parametrize(
        ("space", "side", "own"),
        [
            ("small_mobile", 8, 8),
            ("mobilenet_v2", 224, 355),
            ("nas_bench_macro", 32, 32),
            ("mobilenet_v2", 64, 40),
            ("small_mobile", 64, 4000),
        ],
    )
    def test_what_fits_is_not_talked_about(self, space: str, side: int, own: int) -> None:
        assert size_warnings(shipped_space(space), dataset(side, own, own, own), None) == []

    def test_photographs_in_a_space_for_tiny_images_are_worth_a_sentence(self) -> None:
        photographs = dataset(8, 150, 355, 626)

        assert "images of 355 pixels become 8 x 8" in warning("small_mobile", photographs)
        assert size_warnings(shipped_space("small_mobile"), photographs, 8) == []

    def test_tiny_images_that_are_enlarged_are_worth_one_too(self) -> None:
        sentence = warning("mobilenet_v2", dataset(224, 28, 32, 40))

        assert "enlarged to 224 x 224" in sentence
        assert "--resolution 32 would be about 49 times as fast" in sentence

    def test_so_are_images_that_are_used_at_a_large_size_of_their_own(self) -> None:
        sentence = warning("mobilenet_v2", dataset(448))

        assert "--resolution 224 would be about 4 times as fast" in sentence

    def test_layers_that_see_single_pixels_are_counted_with_a_resolution_that_is_enough(
        self,
    ) -> None:
        sentence = warning("mobilenet_v2", dataset(28), asked=28)

        assert sentence.startswith("at 28 pixels 3 of 20 layers of mobilenet_v2 see maps of one")
        assert "--resolution 40 is enough" in sentence
        assert size_warnings(shipped_space("mobilenet_v2"), dataset(40), 40) == []

    def test_cells_that_see_single_pixels_are_counted_too(self) -> None:
        (sentence,) = size_warnings(shipped_cells(), dataset(4), 4)

        assert sentence.startswith("at 4 pixels 1 of 5 cells of darts_cells_small see maps of one")
        assert "--resolution 8 is enough" in sentence


def test_map_sides_are_those_that_a_network_really_has() -> None:
    space = build_space("RNRNR")
    network, seen = subnet(space, Architecture((0,) * 5), 3, 3), list[int]()
    for layer in network[1:-1]:
        layer.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[-1]))
    network(torch.rand(2, 3, 13, 13))

    assert map_sides(space, 13, 3) == seen == [13, 7, 7, 4, 4]


@pytest.mark.parametrize("space", ["small_mobile", "mnasnet", "nas_bench_macro", "shufflenet_v2"])
@pytest.mark.parametrize("resolution", [28, 33, 100])
def test_the_shipped_spaces_learn_at_odd_resolutions(space: str, resolution: int) -> None:
    layers = shipped_space(space).num_layers
    network = subnet(shipped_space(space), Architecture((0,) * layers), 3, 5)
    loss = network(torch.rand(2, 3, resolution, resolution)).square().sum()
    loss.backward()

    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


class TestRefusals:
    def test_trained_kernels_are_refused_where_most_of_them_would_see_one_pixel(self) -> None:
        space = shipped_space("mobilenet_v2_imagenet")
        refuse_tiny_images(space, dataset(32), "weights.pt")

        with pytest.raises(UserError) as refusal:
            refuse_tiny_images(space, dataset(16), "weights.pt")
        assert str(refusal.value) == (
            "--start weights.pt: at 16 pixels 14 of 23 layers of mobilenet_v2_imagenet see maps of "
            "one pixel, where trained kernels are worth nothing but in their middle; --resolution "
            "40 is enough"
        )
