"""Runs that search nothing: a person names the architectures that are trained."""

from dataclasses import replace

from raynas.errors import UserError
from raynas.settings.settings import Settings
from raynas.spaces.architecture import Architecture
from raynas.spaces.protocol import Space


def given(settings: Settings) -> Settings:
    """Return the settings of a run that trains the architectures they name, and does nothing else.

    Nothing is pretrained, scored, checked or searched. Without a name they stay as they are.

    Args:
        settings: Whatever method they come from.
    """
    if not settings.architecture:
        return settings
    return replace(
        settings,
        trainings=0,
        pretrain=replace(settings.pretrain, epochs=0.0),
        search=replace(settings.search, strategy="given", objectives="score", path_bonus=0.0),
    )


def named_architectures(space: Space, settings: Settings) -> tuple[Architecture, ...]:
    """Return the architectures that settings name, in their order.

    Args:
        space: The space that is searched, with identity where the method has it.
        settings: What was asked for.

    Raises:
        UserError: A text that is none of the space, or two that are the same architecture.
    """
    found: dict[Architecture, str] = {}
    for text in settings.architecture:
        try:
            architecture = space.parse(text)
        except UserError as error:
            raise UserError(f"--architecture: {error}") from error
        if architecture in found:
            raise UserError(
                f"--architecture {text}: it is the same network as {found[architecture]!r}; "
                "name each once"
            )
        found[architecture] = text
    return tuple(found)
