"""How near networks within shares of a start's MACs come to it, before any training.

    python -m tests.bench.feature_errors DATA [RESOLUTION] [IMAGES]

EfficientNet-Lite0 with its ImageNet weights: for each share the network of the least sum of feature
errors, all widths cut alike, and three random networks, inherited and refitted. Two numbers each:
the squared error of the 1,000 logits over their variance, and the share of images of which network
and start name the same class. Fits and errors use training images, judged are as many others.
"""

import sys
from dataclasses import replace

import torch

from raynas.cluster import run_setup
from raynas.costs.costs import Limits
from raynas.costs.latency_table import Task
from raynas.costs.within_limits import largest_within
from raynas.data.batches import Batches, on_device
from raynas.data.crops import CENTRE
from raynas.nets.cost import cost_table
from raynas.nets.feature_errors import feature_errors
from raynas.nets.inheritance import inherit_
from raynas.nets.narrow_networks import narrow_networks
from raynas.nets.operations import Identity
from raynas.nets.refitting import refit_
from raynas.search.constrained_sampling import LegalSampler
from raynas.search.exact import best
from raynas.seeds import Stream, random_numbers
from raynas.settings.settings import Settings
from raynas.spaces.chain import SearchSpace
from raynas.training.new_network import Chosen, new_network
from raynas.training.starts.member import load_start
from tests.bench.uses import Use

NAME = "efficientnet_lite0"
SHARES = (0.35, 0.5, 0.65)
RANDOM = 3


def main(data: str, resolution: int = 96, count: int = 64) -> None:
    """Print the numbers of each network.

    Args:
        data: As ``--data`` takes it.
        resolution: Height and width in pixels.
        count: Images to fit to, and to judge by.
    """
    settings = Settings(data=data, space=NAME, start=NAME)
    images = replace(settings.images, resolution=resolution)
    space, dataset = run_setup.load(replace(settings, images=images))
    assert isinstance(space, SearchSpace)
    space = space.with_identity(Identity())
    start = load_start(NAME, space)
    dataset = start.normalised(dataset)
    count = min(count, len(dataset.train) // 2)
    batch = Batches(dataset, 2 * count, 0, Stream.MOMENTS, crops=CENTRE)(0)
    fitted, judged = on_device(batch, dataset, torch.device("cpu"))[0].split(count)
    source = start.network(space)
    task = Task(dataset.channels, resolution, start.num_classes)
    with torch.no_grad():
        wanted = source(judged)

    def distance(chosen: Chosen) -> str:
        network = new_network(space, chosen, task, 0.0).eval()
        assert isinstance(network, torch.nn.Sequential)
        inherit_(network, source)
        refit_(network, source, fitted)
        with torch.no_grad():
            found = network(judged)
        lost = (found - wanted).square().mean() / (wanted - wanted.mean(0)).square().mean()
        same = (found.argmax(1) == wanted.argmax(1)).float().mean()
        return f"{lost:.2f} ({same:.2f})"

    table = [-row for row in feature_errors(space, source, fitted)]
    costs = cost_table(space, resolution, task.channels, task.num_classes)
    whole, rng = costs.of(start.architecture).macs, random_numbers(0, Stream.BENCH, Use.FEATURES)
    for share in SHARES:
        limits = Limits(max_macs=int(share * whole))
        found, _ = best(table, costs, limits)
        narrow, _ = largest_within(
            narrow_networks(start.architecture), lambda each: each.cost(space, task), limits
        )
        sampler = LegalSampler(costs, limits)
        drawn = [sampler.draw(rng, 1000) for _ in range(RANDOM)]
        print(f"{share} of {whole / 1e6:.1f}M MACs, {count} images")
        print(f"  least sum of errors  {distance(found)}  {found}")
        print(f"  widths cut alike     {distance(narrow)}  {narrow.name}")
        for each in drawn:
            assert each is not None
            print(f"  random               {distance(each)}  {each}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
