"""Networks that a run has trained, back from its folder as torch modules."""

import safetensors.torch
from torch import nn

from raynas.errors import UserError
from raynas.nets.operations import Identity
from raynas.nets.subnet import subnet
from raynas.settings.settings import Settings
from raynas.spaces.architecture import Architecture
from raynas.spaces.digest import refuse_other_space
from raynas.spaces.loading import SPACES, load_space, names_in
from raynas.spaces.protocol import Space
from raynas.storage.outcome_rows import networks_of
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.run_store import RunStore
from raynas.training.checkpoints import read_model


def searched_space(space: Space, layer_indicator: str) -> Space:
    """Return the space that a method searches: with identity where that is a path of its own.

    Cells have skip connections of their own, so spaces of cells stay as they are.

    Args:
        space: As its file has it.
        layer_indicator: The setting ``pretrain.layer_indicator``.
    """
    return space.with_identity(Identity()) if layer_indicator == "path" else space


def recorded_space(store: RunStore, named: str | None = None) -> Space:
    """Return the space that a run searched.

    A space is Python that is executed, and a run folder may come from anywhere: of what it names,
    only what raynas ships is loaded.

    Args:
        store: The run folder.
        named: A space, or its file, that a person has named instead.

    Raises:
        UserError: The run had a space of its own and none is named, or it cannot be loaded, or it
            is no longer what it was.
    """
    run = store.rows("runs")[0]
    if named is None and run["space"] not in names_in(SPACES):
        raise UserError(
            f"run folder {store.uri}: it names {run['space']!r} as its space, which is Python that "
            "a run folder may not have executed; name the file yourself, by --space FILE.py or "
            "space= in Python, if you trust it"
        )
    space = load_space(named or run["space"], SPACES)
    digest = PlanFacts.from_json(run["plan"]).space_digest
    refuse_other_space(digest, space, f"run folder {store.uri}")
    return searched_space(space, Settings.from_json(run["settings"]).pretrain.layer_indicator)


def load_network(
    folder: str, architecture: str | None = None, space: str | None = None
) -> nn.Module:
    """Return a network that a run has trained, with its weights, in eval mode.

    It maps N x C x H x W images, normalised as ``runs.plan`` records it, to logits of
    N x classes.

    Args:
        folder: The run folder, a path or URI.
        architecture: Its text, such as 3-0-5; None: the best by validation accuracy. Where it was
            trained on all images at last, these are its weights.
        space: The file of the run's space, which is executed; None: raynas ships it.

    Raises:
        UserError: There is no run, the network was not trained to its end or its weights are lost,
            or the run had a space of its own and none is given.
    """
    store = RunStore.open(folder)
    finished = {row["architecture"]: row for row in networks_of(store.rows("outcomes"))}
    chosen = architecture or next(iter(finished), "no network")
    if chosen not in finished:
        raise UserError(
            f"run folder {store.uri}: {chosen} was not trained to its end; known "
            f"are {', '.join(finished) or 'none'}"
        )
    facts = PlanFacts.from_json(store.rows("runs")[0]["plan"])
    searched = recorded_space(store, space)
    network = subnet(searched, Architecture.parse(chosen), facts.channels or 0, len(facts.classes))
    weights = read_model(store, finished[chosen]["checkpoint"])
    network.load_state_dict(safetensors.torch.load(weights))
    return network.eval()
