"""Work on many images, a block at a time, by threads or by whoever else takes blocks."""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from raynas.data.encoded_images import Raws

Say = Callable[[str], None]
Result = TypeVar("Result")

_BLOCK = 32  # images that a thread takes at a time
SILENCE = 10.0  # seconds after which a person wants to hear how far it is


def silent(_: str) -> None:
    """Say nothing."""


class Spread(Protocol):
    """Does the same to all images, block by block, several at a time."""

    def __call__(
        self, work: Callable[[Raws], Result], images: Raws
    ) -> Iterator[tuple[slice, Result]]:
        """Yield each block and what comes of it, in their order; raise what the work raises."""


def in_threads(work: Callable[[Raws], Result], images: Raws) -> Iterator[tuple[slice, Result]]:
    """Work in as many threads as there are cores: Pillow lets go of Python's lock to decode."""
    blocks = blocks_of(len(images), _BLOCK)

    def of_block(block: slice) -> Result:
        return work(images[block])

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        yield from zip(blocks, threads.map(of_block, blocks), strict=True)


def blocks_of(count: int, size: int) -> list[slice]:
    """Return so many images in blocks of a size, of which the last may be smaller."""
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def with_progress(
    results: Iterator[tuple[slice, Result]], count: int, doing: str, say: Say
) -> Iterator[tuple[slice, Result]]:
    """Yield the results of blocks, and say now and then how far it is."""
    spoken = time.monotonic()
    for block, result in results:
        if time.monotonic() >= spoken + SILENCE:
            say(f"{'data':<9} {doing} {block.stop:,} of {count:,} images")
            spoken = time.monotonic()
        yield block, result
