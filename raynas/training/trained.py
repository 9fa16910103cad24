"""Networks that a run has trained, back from its folder as torch modules."""

import json

import safetensors.torch
from torch import nn

from raynas.any_space import Space
from raynas.errors import UserError
from raynas.nets.operations import Identity
from raynas.nets.subnet import subnet
from raynas.space import SPACES, Architecture, SearchSpace, load_space
from raynas.space_digest import refuse_other_space
from raynas.store import RunStore


def searched_space(space: Space, layer_indicator: str) -> Space:
    """Return the space that a method searches: with identity where that is a path of its own.

    Cells have skip connections of their own, so spaces of cells stay as they are.

    Args:
        space: As its file has it.
        layer_indicator: The setting ``pretrain.layer_indicator``.
    """
    if isinstance(space, SearchSpace) and layer_indicator == "path":
        return space.with_identity(Identity())
    return space


def load_network(folder: str, architecture: str | None = None) -> nn.Module:
    """Return a network that a run has trained, with its weights, in eval mode.

    It maps N x C x H x W images, normalised as ``runs.plan`` records it, to logits of
    N x classes.

    Args:
        folder: The run folder, a path or URI.
        architecture: Its text, such as 3-0-5; None: the best by validation accuracy.

    Raises:
        UserError: There is no run, or the network was not trained to its end.
    """
    store = RunStore.open(folder)
    finished = {
        row["architecture"]: row
        for row in sorted(store.rows("outcomes"), key=lambda row: row["rank"])
        if row["status"] == "finished"
    }
    chosen = architecture or next(iter(finished), "no network")
    if chosen not in finished:
        raise UserError(
            f"run folder {store.uri}: {chosen} was not trained to its end; known "
            f"are {', '.join(finished) or 'none'}"
        )
    run = store.rows("runs")[0]
    settings, facts = json.loads(run["settings"]), json.loads(run["plan"])
    space = load_space(run["space"], SPACES)
    space = searched_space(space, settings["pretrain"]["layer_indicator"])
    refuse_other_space(facts, space, f"run folder {store.uri}")
    network = subnet(space, Architecture.parse(chosen), facts["channels"], len(facts["classes"]))
    weights = store.read_bytes(finished[chosen]["checkpoint"])
    network.load_state_dict(safetensors.torch.load(weights))
    return network.eval()
