"""The trained numbers as one vector: who owns which part of it."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from raynas.search.sampling import fair_paths
from raynas.spaces.architecture import Architecture
from raynas.spaces.parameter_layout import Role, Segment, classifier_start, indices_on, units

SIZES = st.lists(st.integers(1, 4), min_size=1, max_size=5)


def build_segments(sizes: list[int], length: int = 2) -> list[Segment]:
    """Return a stem, scale and shift per candidate and per layer beside it, and a classifier."""
    owned_by: list[tuple[int | None, int | None]] = [(None, None)]
    for place, size in enumerate(sizes):
        owned_by += [(place, choice) for choice in range(size)]
        owned_by.append((place, None))
    segments: list[Segment] = []
    roles: tuple[Role, Role] = ("gamma", "beta")
    for layer, candidate in owned_by:
        for role in roles:
            start = segments[-1].stop if segments else 0
            is_indicator = role == "gamma" and layer is not None
            stop = start + length
            segments.append(Segment(start, stop, role, layer, candidate, is_indicator))
    stop = segments[-1].stop
    segments.append(Segment(stop, stop + 5, "classifier"))
    segments.append(Segment(stop + 5, stop + 6, "classifier"))
    return segments


def test_a_candidates_part_is_on_only_where_the_path_chooses_it() -> None:
    part = Segment(0, 4, "gamma", layer=1, candidate=2)

    assert part.is_on(Architecture((0, 2)))
    assert not part.is_on(Architecture((2, 1)))


def test_what_belongs_to_no_candidate_is_on_every_path() -> None:
    stem = Segment(0, 4, "gamma")
    beside = Segment(4, 8, "gamma", layer=1)

    assert stem.is_on(Architecture((0, 0)))
    assert beside.is_on(Architecture((0, 0)))


@given(SIZES, st.integers(0, 100))
def test_the_indices_of_a_path_are_those_of_its_parts_in_order(sizes: list[int], step: int) -> None:
    segments = build_segments(sizes)
    for path in fair_paths(sizes, seed=0, step=step):
        indices = indices_on(segments, path)
        on = [part for part in segments if part.is_on(path)]

        assert np.all(np.diff(indices) > 0)
        assert len(indices) == sum(part.stop - part.start for part in on)
        assert set(indices) == {i for part in on for i in range(part.start, part.stop)}


@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 100))
def test_the_paths_of_a_fair_step_fill_every_candidates_numbers_exactly_once(
    num_layers: int, size: int, step: int
) -> None:
    segments = build_segments([size] * num_layers)
    counts = np.zeros(segments[-1].stop, dtype=int)
    for path in fair_paths([size] * num_layers, seed=0, step=step):
        counts[indices_on(segments, path)] += 1

    for part in segments:
        expected = size if part.candidate is None else 1
        assert np.all(counts[part.start : part.stop] == expected)


@given(SIZES)
def test_units_cover_the_vector_end_to_end_one_for_each_owner(sizes: list[int]) -> None:
    segments = build_segments(sizes)
    joined = units(segments)

    assert joined[0].start == 0
    assert joined[-1].stop == segments[-1].stop
    assert all(a.stop == b.start for a, b in itertools.pairwise(joined))
    # a stem, each candidate, each layer's part beside its candidates, and the classifier
    assert len(joined) == 1 + sum(sizes) + len(sizes) + 1


@given(SIZES, st.integers(0, 100))
def test_a_unit_is_on_a_path_exactly_when_all_of_its_parts_are(sizes: list[int], step: int) -> None:
    segments = build_segments(sizes)
    for path in fair_paths(sizes, seed=0, step=step):
        for unit in units(segments):
            inside = [s for s in segments if unit.start <= s.start and s.stop <= unit.stop]

            assert {part.is_on(path) for part in inside} == {unit.is_on(path)}


def test_the_classifier_is_a_unit_of_its_own_beside_a_head() -> None:
    head = [Segment(0, 3, "gamma"), Segment(3, 6, "beta")]
    classifier = [Segment(6, 26, "classifier"), Segment(26, 28, "classifier")]

    assert [(unit.start, unit.stop) for unit in units([*head, *classifier])] == [(0, 6), (6, 28)]


def test_no_parts_make_no_units() -> None:
    assert units([]) == []


def test_a_path_that_trains_nothing_has_no_indices() -> None:
    assert indices_on([Segment(0, 4, "gamma", 0, 1)], Architecture((0,))).tolist() == []


@given(SIZES)
def test_the_classifier_is_all_that_comes_from_its_start(sizes: list[int]) -> None:
    segments = build_segments(sizes)
    start = classifier_start(segments)

    assert all((part.role == "classifier") == (part.start >= start) for part in segments)
    assert segments[-1].stop - start == 6
    frozen = [part for part in segments if part.role != "classifier"]
    assert classifier_start(frozen) == frozen[-1].stop
