"""Reading a large data set's headers, or all of its pixels, on all nodes."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import ray

from raynas.cluster.planning.connection import connected
from raynas.data.encoded_images import Raws
from raynas.data.file_opening import local_file
from raynas.data.in_blocks import blocks_of, in_threads

_FEW = 20_000  # images that are read here sooner than processes start elsewhere
_BLOCK = 1024  # images of a task
_RETRIES = 2  # of a task whose node is lost, elsewhere
Result = TypeVar("Result")


def on_all_nodes(work: Callable[[Raws], Result], images: Raws) -> Iterator[tuple[slice, Result]]:
    """Do the same to all images, in tasks of Ray where there are many, else in threads.

    Whatever a node fails at, since it is lost or does not see the files, is done here instead.

    Args:
        work: What to do with a block of images.
        images: All of them.

    Yields:
        Each block and what comes of it, in their order.
    """
    if len(images) < _FEW:
        yield from in_threads(work, images)
        return
    with connected():
        shared, blocks = ray.put(images), blocks_of(len(images), _BLOCK)
        task: Any = ray.remote(_on_block).options(
            num_cpus=1, scheduling_strategy="SPREAD", max_retries=_RETRIES
        )
        answers = [task.remote(work, shared, block) for block in blocks]
        for block, answer in zip(blocks, answers, strict=True):
            yield block, _result(answer, work, images[block])


def _on_block(work: Callable[[Raws], Result], images: Raws, block: slice) -> Result:
    file = local_file(images[block.start])
    if file is not None and not Path(file).exists():
        raise FileNotFoundError(file)  # which is no reason to call all images broken
    return work(images[block])


def _result(answer: Any, work: Callable[[Raws], Result], block: Raws) -> Result:
    try:
        result: Result = ray.get(answer)
    except ray.exceptions.RayError:
        return work(block)
    return result
