"""How the pieces of a step are dealt out: all of them, once, and whole shards to one worker."""

from collections import defaultdict
from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from raynas.cluster.workers.dealing import deal, portions_of

COUNTS = st.integers(1, 9)


def played(
    num_paths: int, num_shards: int, num_workers: int, order: list[int], had: dict[int, set[int]]
) -> dict[int, list[int]]:
    """Return which pieces each worker computes, where workers are idle in some order."""
    shards = [shard for shard in range(num_shards) for _ in range(num_paths)]
    missing, done = list(range(len(shards))), defaultdict(list)
    turn = 0
    while missing:
        worker = order[turn % len(order)] if turn >= num_workers else turn
        others = set().union(*(had[each] for each in had if each != worker))
        share = deal(missing, shards, num_workers, had[worker], others)
        assert share
        assert set(share) <= set(missing)
        missing = [index for index in missing if index not in share]
        done[worker] += share
        turn += 1
    for worker in range(num_workers):
        had[worker] = {shards[index] for index in done[worker]}
    return done


def nothing(num_workers: int) -> dict[int, set[int]]:
    return {worker: set() for worker in range(num_workers)}


@given(COUNTS, COUNTS, COUNTS, st.randoms(use_true_random=False))
def test_every_piece_is_computed_once_whoever_is_idle_first(
    num_paths: int, num_shards: int, num_workers: int, random: object
) -> None:
    order = list(range(num_workers))
    random.shuffle(order)  # type: ignore[attr-defined]
    done = played(num_paths, num_shards, num_workers, order, nothing(num_workers))

    assert sorted(chain.from_iterable(done.values())) == list(range(num_paths * num_shards))


@given(COUNTS, COUNTS, COUNTS)
def test_a_shard_is_one_worker_s_where_there_is_one_for_each(
    num_paths: int, num_workers: int, more: int
) -> None:
    num_shards = num_workers - 1 + more
    order = list(range(num_workers))
    done = played(num_paths, num_shards, num_workers, order, nothing(num_workers))
    owners = {(index // num_paths, worker) for worker in done for index in done[worker]}

    assert len(owners) == num_shards


@given(COUNTS, COUNTS, COUNTS)
def test_workers_as_fast_as_before_keep_their_shards(
    num_paths: int, num_workers: int, more: int
) -> None:
    order, had = list(range(num_workers)), nothing(num_workers)
    num_shards = num_workers - 1 + more
    played(num_paths, num_shards, num_workers, order, had)
    before = dict(had)
    played(num_paths, num_shards, num_workers, order, had)

    assert had == before


def test_a_worker_that_is_done_first_takes_what_nobody_had_before_what_another_had() -> None:
    shards = [0, 0, 1, 1, 2, 2]

    assert deal([0, 1, 2, 3, 4, 5], shards, 2, own=set(), others={0, 1}) == [4, 5]
    assert deal([0, 1, 2, 3], shards, 2, own=set(), others={0, 1}) == [0, 1]


def test_the_last_worker_takes_everything() -> None:
    assert deal([1, 2, 5], [0, 0, 0, 1, 1, 1], 1, own=set(), others=set()) == [1, 2, 5]


def test_paths_of_one_shard_are_dealt_to_several_workers() -> None:
    assert deal(list(range(8)), [0] * 8, 2, own=set(), others=set()) == [0, 1]


@given(COUNTS, COUNTS, COUNTS)
def test_in_one_portion_each_of_the_idle_workers_is_asked_once(
    num_paths: int, num_shards: int, num_workers: int
) -> None:
    shards = [shard for shard in range(num_shards) for _ in range(num_paths)]
    missing, shares = list(range(len(shards))), []
    for number in range(num_workers):
        if missing:
            shares.append(deal(missing, shards, num_workers - number, (), (), portions=1))
            missing = [index for index in missing if index not in shares[-1]]

    assert sorted(chain.from_iterable(shares)) == list(range(len(shards)))
    least = num_paths * (num_shards // num_workers) if num_shards >= num_workers else 1
    assert min(map(len, shares)) >= min(least, len(shards) // num_workers)


def test_shares_are_dealt_in_two_portions_unless_each_answer_is_a_megabyte_longer() -> None:
    assert [portions_of(size) for size in (0, 64 * 10, 2**20 // 8)] == [2, 2, 2]
    assert [portions_of(size) for size in (2**20 // 8 + 1, 1729 * 1000)] == [1, 1]
