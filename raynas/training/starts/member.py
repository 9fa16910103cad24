"""Which network of a space has some trained weights, and whether it computes the same with them.

Libraries call the same layers by other names, so tensors are matched by order and shape, and where
the library's own network can be built, outputs of the two are compared.
"""

from collections.abc import Iterator
from contextlib import suppress
from itertools import zip_longest

import torch
from torch import nn

from raynas.errors import UserError
from raynas.nets.subnet import subnet
from raynas.seeds import Stream, mixed_seed
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import SearchSpace, chain_of
from raynas.spaces.digest import refuse_other_space
from raynas.spaces.loading import SPACES, load_space, names_in
from raynas.spaces.protocol import Space
from raynas.storage.uris import shown
from raynas.training.starts.libraries import is_of_library, published_name, recognised
from raynas.training.starts.lookup import find_source
from raynas.training.starts.source import Source, Tensors, refuse, without_counters
from raynas.training.starts.start import Start
from raynas.training.trained_networks import searched_space

_SIDE = 96  # pixels of images of noise
_SCALES = 1.0, 10.0  # of these; in a large one activations reach their ceilings
_TOLERANCE = 1e-5  # of outputs, relative to the largest; computed in double


def load_start(text: str, space: Space, layer_indicator: str = "none") -> Start:
    """Return trained weights in the network of a space that they belong to.

    Args:
        text: A network's name, a file, an export or a run, as ``find_source`` looks them up.
        space: As its file has it.
        layer_indicator: Of the search, for which layers may be skipped; "none": as the file says.

    Raises:
        UserError: There are no such weights, they fit no network that the space knows by name, or
            a run found them in a space whose file has changed since.
    """
    where = f"--start {shown(text)}"
    chain = chain_of(searched_space(space, layer_indicator), where)
    if not chain.published and is_of_library(text):  # nothing is downloaded
        refuse(text, f"{_no_member(chain)}; {_advice(space_with(text))}")
    source = find_source(text)
    if source.space == space.name:
        refuse_other_space(source.space_digest, space, where)
    return start_of(source, chain)


def start_of(source: Source, space: SearchSpace) -> Start:
    """Return weights in the network of a space that they belong to.

    That of a space of raynas is its own architecture; any other is the published network of the
    same name, or the first one whose shapes and outputs fit.

    Args:
        source: The weights.
        space: The searched space.

    Raises:
        UserError: None fits; names the first layer that differs, both shapes, and the shipped
            space that has the network, if one does.
    """
    try:
        return _in_space(source, space)
    except _MisfitError as misfit:
        source.refuse(f"{misfit}; {_advice(_fitting(source))}")


class _MisfitError(Exception):
    """Says why weights fit no network of a space; what to do is not known there."""


def _in_space(source: Source, space: SearchSpace) -> Start:
    """Return weights in the network of a space that they belong to.

    Raises:
        _MisfitError: None fits.
        UserError: They contradict what is said of them.
    """
    if source.architecture is not None:
        return _started(source, space, _own_architecture(source, space), source.architecture)
    misfits: list[_MisfitError] = []
    for name, architecture in _published(source, space):
        try:
            return _started(recognised(source, name), space, architecture, name)
        except _MisfitError as misfit:
            misfits.append(misfit)
    if not misfits:
        raise _MisfitError(_no_member(space))
    raise misfits[0]


def _no_member(space: SearchSpace) -> str:
    return f"space {space.name} has no published network that could have these weights"


def _fitting(source: Source) -> str | None:
    """Return the shipped space that has the network of some weights."""
    for name, space in _shipped_chains():
        with suppress(_MisfitError, UserError):
            _in_space(source, space)
            return name
    return None


def space_with(network: str) -> str | None:
    """Return the name of the shipped space that publishes a network, if one does.

    Args:
        network: Its name, as ``--start`` takes it.
    """
    known = published_name(network)
    return next((name for name, each in _shipped_chains() if known in dict(each.published)), None)


def _shipped_chains() -> Iterator[tuple[str, SearchSpace]]:
    for name in names_in(SPACES):
        space = load_space(name, SPACES)
        if isinstance(space, SearchSpace):
            yield name, space


def _advice(space: str | None) -> str:
    """Return what to do: use the space that has the network, if one does."""
    if space is None:
        return "choose other weights, or a space that has this network"
    return f"search_spaces/{space} has this network: use --space {space}"


def _own_architecture(source: Source, space: SearchSpace) -> Architecture:
    assert source.architecture is not None
    try:
        return space.parse(source.architecture)
    except UserError as error:
        source.refuse(
            f"it is of space {source.space}, and space {space.name} does not have its network "
            f"({error}); give --space {source.space}"
        )


def _published(source: Source, space: SearchSpace) -> Iterator[tuple[str, Architecture]]:
    """Yield the published networks of a space, that of the source's name first."""
    names = sorted(dict(space.published), key=lambda name: name != source.name)
    yield from ((name, space.parse(name)) for name in names)


def _started(source: Source, space: SearchSpace, architecture: Architecture, name: str) -> Start:
    """Return a source's weights in a network, which computes the same with them.

    Raises:
        _MisfitError: A tensor has another shape, or outputs differ.
        UserError: It tells another number of classes apart than is said.
    """
    with torch.device("meta"):
        names = without_counters(subnet(space, architecture, 3, 1).state_dict())
    if set(names) == set(source.tensors):  # of raynas; files may have lost the order
        source = source.in_order_of(names)
    _refuse_not_finite(source)
    channels, num_classes = source.channels, source.num_classes
    with torch.random.fork_rng(devices=[]):
        network = subnet(space, architecture, channels, num_classes).eval()
    _refuse_misfit(source, without_counters(network.state_dict()), name, space)
    if source.said_classes not in {None, num_classes}:
        source.refuse(
            f"it is said to know {source.said_classes} classes, but its weights tell {num_classes} "
            "apart; make it again"
        )
    _fill_(network, source.tensors)
    if source.module is not None:
        _refuse_other_outputs(source, network, name, space)
    return Start(
        source=shown(source.text),
        origin=source.origin,
        architecture=architecture,
        tensors=network.state_dict(),
        normalisation=source.usual_normalisation,
        channels=channels,
        num_classes=num_classes,
        compared=source.module is not None or source.space_digest is not None,
    )


def _refuse_not_finite(source: Source) -> None:
    """Refuse weights of which no network can be made, as of a training that diverged."""
    for name, tensor in source.tensors.items():
        count = int((~torch.isfinite(tensor)).sum())
        if count:
            source.refuse(
                f"{count:,} of the {tensor.numel():,} numbers of {name} are not finite; choose "
                "other weights, or an earlier checkpoint of that training"
            )


def _refuse_misfit(source: Source, wanted: Tensors, name: str, space: SearchSpace) -> None:
    """Refuse tensors of other shapes or of another number, by the first that differs."""
    if not source.is_ordered:
        raise _MisfitError(
            f"its tensors have other names than those of {name} of space {space.name}, and a file "
            "of safetensors keeps no order by which layers could be told, as one of torch.save "
            "does (of an export, name the folder)"
        )
    pairs = zip_longest(wanted.items(), source.tensors.items())
    for own, found in pairs:
        if own is None or found is None or own[1].shape != found[1].shape:
            place = _place(own[0], space) if own else "the end"
            here = f"wants {_shape(own[1])}" if own else "wants nothing more"
            there = f"{found[0]} is {_shape(found[1])}" if found else "there is nothing more"
            raise _MisfitError(
                f"it does not fit {name} of space {space.name}: {place} {here}, but {there}"
            )


def _place(name: str, space: SearchSpace) -> str:
    """Return where a parameter stands, for people."""
    first, _, rest = name.partition(".")
    number = int(first) - 1
    where = "stem" if number < 0 else "head" if number == space.num_layers else f"layer {number}"
    return f"{where} ({rest})"


def _shape(tensor: torch.Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "a number"


@torch.no_grad()
def _fill_(network: nn.Module, tensors: Tensors) -> None:
    """Copy tensors into a network's, in their order; batch norms go on as if from the start."""
    own = without_counters(network.state_dict())
    for mine, found in zip(own.values(), tensors.values(), strict=True):
        mine.copy_(found)


@torch.no_grad()
def _refuse_other_outputs(
    source: Source, network: nn.Module, name: str, space: SearchSpace
) -> None:
    """Refuse a network that computes something else with the same weights than the library's.

    Padding, activations and epsilons have no tensors that would tell.
    """
    assert source.module is not None
    generator = torch.Generator().manual_seed(mixed_seed(0, Stream.START_OUTPUTS))
    shape = len(_SCALES), source.channels, _SIDE, _SIDE
    noise = torch.randn(shape, generator=generator, dtype=torch.float64)
    images = noise * noise.new_tensor(_SCALES)[:, None, None, None]
    outputs, wanted = network.double()(images), source.module.double().eval()(images)
    network.float()
    source.module.float()
    difference = (outputs - wanted).abs().max() / wanted.abs().max()
    if not difference <= _TOLERANCE:
        raise _MisfitError(
            f"{name} of space {space.name} has layers of the same shapes but computes something "
            f"else (outputs differ by {difference:.1e} of the largest, wanted {_TOLERANCE:g})"
        )
