"""Images that turn out to be unreadable while a run works, in a table that all its nodes write."""

import hashlib
from dataclasses import dataclass

from raynas.storage.run_store import RunStore

_TABLE = "lost_images"


@dataclass(frozen=True)
class LostImages:
    """A run's lost images; it can be sent to its workers.

    Attributes:
        store: The run folder.
        images: How many images the run has.
    """

    store: RunStore
    images: int

    def note(self, name: str, why: str) -> None:
        """Write an image down, once however many processes meet it.

        Args:
            name: Of the image.
            why: It cannot be read.
        """
        part = hashlib.sha256(name.encode("utf-8", "backslashreplace")).hexdigest()[:16]
        if part not in self.store.parts(_TABLE):
            self.store.append(_TABLE, [{"image": name, "error": why}], part)

    @property
    def count(self) -> int:
        """How many the run has lost so far, on all nodes."""
        return len(self.store.parts(_TABLE))


def lost_words(store: RunStore) -> str | None:
    """Return a sentence on the images that a run has lost; None: none."""
    count = len(store.parts(_TABLE))
    if not count:
        return None
    return (
        f"{count:,} images could not be read when they were needed, and others of their classes "
        f"took their places (table {_TABLE})"
    )
