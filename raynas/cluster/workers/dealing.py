"""Which pieces of a step an idle worker computes: whole shards where there are enough of them.

The paths of a shard share its images, so a worker that has all of them decodes each image once. A
worker prefers the shards of its last step, whose next batch it has begun to make ahead. Who
computes a piece has no influence on the result.
"""

from collections.abc import Collection, Sequence


def deal(  # noqa: PLR0913 - everything that decides who takes what
    missing: Sequence[int],
    shards: Sequence[int],
    num_workers: int,
    own: Collection[int],
    others: Collection[int],
    portions: int = 2,
) -> list[int]:
    """Return the indices of the pieces for the next idle worker.

    It is half of an even share: who is done sooner takes more of the rest.

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
