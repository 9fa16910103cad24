"""Which pieces of a step an idle worker computes: whole shards where there are enough of them.

The paths of a shard share its images, so a worker that has all of them decodes each image once. A
worker prefers the shards of its last step, whose next batch it has begun to make ahead. Who
computes a piece has no influence on the result.
"""

from collections.abc import Collection, Sequence

_LONG = 2**17  # numbers of a sum, 1 MiB in each answer


def portions_of(num_summed: int) -> int:
    """Return in how many portions a worker takes its even share of a step.

    Two let who is faster take more. Each answer holds the sum of the classifier's gradients,
    though: where that is long, sending it once more takes longer than is gained.

    Args:
        num_summed: Numbers of that sum.
    """
    return 1 if num_summed > _LONG else 2


def deal(  # noqa: PLR0913 - everything that decides who takes what
    missing: Sequence[int],
    shards: Sequence[int],
    num_workers: int,
    own: Collection[int],
    others: Collection[int],
    portions: int = 2,
) -> list[int]:
    """Return the indices of the pieces for the next idle worker.

    It is a portion of an even share: of two, who is done sooner takes more of the rest.

    Args:
        missing: Indices of the pieces that nobody computes, at least one.
        shards: The shard of each piece of the step.
        num_workers: Workers that share the step.
        own: Shards that this worker has had in this step or in the last one.
        others: Shards that other workers have had then.
        portions: Parts of an even share, one of which is dealt.
    """
    if num_workers == 1:
        return list(missing)
    pieces: dict[int, list[int]] = {}
    for index in missing:
        pieces.setdefault(shards[index], []).append(index)
    order = sorted(pieces, key=lambda shard: (shard not in own, shard in others, shard))
    parts = portions * num_workers
    if len(set(shards)) >= num_workers:
        return [index for shard in order[: -(-len(order) // parts)] for index in pieces[shard]]
    return [index for shard in order for index in pieces[shard]][: -(-len(missing) // parts)]
