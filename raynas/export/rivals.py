"""Exports of networks that stood beside the winners: those that are ahead of them."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from raynas.costs.costs import Cost
from raynas.export.parts import Part, Shape, parts_of
from raynas.nets.narrow_networks import NarrowNetwork
from raynas.nets.smaller_images import ScaledNetwork
from raynas.reporting.rivals import verdict
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import chain_of
from raynas.spaces.protocol import Space
from raynas.storage.outcome_rows import rival_file
from raynas.storage.run_store import RunStore
from raynas.training.new_network import Chosen, chosen_of

Row = dict[str, Any]


def winning_rivals(store: RunStore) -> list[Row]:
    """Return the rival that is more accurate than all winners, as an outcome, or nothing.

    Args:
        store: The run folder.
    """
    found = verdict(store)
    if found is None or not found.rival_wins:
        return []
    return [found.rival | {"architecture": rival_file(found.rival["rival"]), "rank": None}]


def is_rival(outcome: Mapping[str, Any]) -> bool:
    """Return whether an outcome is of a network that is not of the search space."""
    return not isinstance(chosen_network(outcome), Architecture)


def chosen_network(outcome: Mapping[str, Any]) -> Chosen:
    """Return which network an outcome is of."""
    return chosen_of(outcome.get("network") or outcome["architecture"])


def parts_of_chosen(
    network: nn.Sequential,
    space: Space,
    chosen: Architecture | ScaledNetwork | NarrowNetwork,
    image: Shape,
) -> list[Part]:
    """Return the parts of a network of the space, or of what is made of one, in order.

    Args:
        network: As ``new_network`` returns it.
        space: The searched space.
        chosen: Which network it is.
        image: Channels, height and width of an image.
    """
    if isinstance(chosen, Architecture):
        return parts_of(network, space, chosen, image)
    chain = chain_of(space, chosen.name)
    if isinstance(chosen, NarrowNetwork):
        return parts_of(network, *chosen.alone(chain), image)
    scaling, inner = network
    assert isinstance(inner, nn.Sequential), "as ScaledNetwork builds it"
    smaller = (image[0], chosen.resolution, chosen.resolution)
    resize = Part("resize", "resize", scaling, image, smaller, Cost(0, 0))
    return [resize, *parts_of(inner, chain, chosen.architecture, smaller)]
