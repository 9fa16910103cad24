"""The table of a run's images: which there are, and whether they are still the same."""

import pyarrow as pa

from raynas.data.listed import changes
from raynas.errors import UserError
from raynas.storage.run_store import RunStore

_TABLE = "images"


def write_images(store: RunStore, images: pa.Table) -> None:
    """Write what is known of each image, unless the run has it."""
    if not store.parts(_TABLE):
        store.append_table(_TABLE, images, "images")


def refuse_changed_images(store: RunStore, images: pa.Table) -> None:
    """Refuse to go on with other images than those that the run began with.

    Raises:
        UserError: Some are gone, new, or of another size.
    """
    if not store.parts(_TABLE) or store.damaged(_TABLE):
        return  # how many there were is known in any case
    changed = changes(store.table(_TABLE), images)
    if changed:
        raise UserError(
            f"run folder: its data have changed since it began: {changed}; bring the old images "
            "back, or choose another --run"
        )
