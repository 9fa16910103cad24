"""A folder of runs that differ in the size of their images: ``RUN/at-96``, ``RUN/at-128``."""

import re

from raynas.errors import UserError
from raynas.storage.run_store import RunStore
from raynas.storage.uris import inside

_NAME = re.compile(r"at-(\d+)")


def store_at(folder: str, resolution: int) -> RunStore:
    """Return the run folder of a resolution, which need not exist.

    Args:
        folder: That of all resolutions, a path or URI.
        resolution: Side of the images in pixels.
    """
    return RunStore(inside(folder, f"at-{resolution}"))


def resolutions_in(store: RunStore) -> list[int]:
    """Return the resolutions of which a folder holds a run, from the smallest to the largest."""
    names = (_NAME.fullmatch(name) for name in store.inner_runs())
    return sorted(int(found[1]) for found in names if found)


def refuse_several(store: RunStore) -> None:
    """Refuse to begin a single run where there is one at each of several resolutions.

    Raises:
        UserError: The folder holds such runs.
    """
    if found := resolutions_in(store):
        names = ", ".join(f"at-{each}" for each in found)
        raise UserError(
            f"run folder {store.uri} holds a run at each of several resolutions ({names}); give "
            "--resolutions to continue them, or choose another --run"
        )
