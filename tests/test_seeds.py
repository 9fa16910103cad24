"""Seeds: every use of random numbers has a state of its own, and one module seeds them all."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from raynas.seeds import VERSION, Stream, mixed_seed, random_numbers
from tests.builders import ROOT, run_python

SEEDS = st.integers(0, 2**63 - 1)
PLACES = st.lists(st.integers(0, 2**32 - 1), max_size=4).map(tuple)
USES = st.tuples(SEEDS, st.sampled_from(Stream), PLACES)
PRODUCT = [
    path
    for folder in ("raynas", "launch", "analysis", "search_spaces", "tests/bench")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path != ROOT / "raynas/seeds.py"
]
NUMPY = {"default_rng", "SeedSequence", "RandomState", "PCG64", "Philox", "MT19937", "SFC64"}
Use = tuple[int, Stream, tuple[int, ...]]


def state(use: Use) -> tuple[int, ...]:
    """Return the whole state that a generator of numpy's begins with."""
    seed, stream, place = use
    inner = random_numbers(seed, stream, *place).bit_generator.state["state"]
    return inner["state"], inner["inc"]


@given(USES, USES)
@example((3, Stream.SPLIT, ()), (3, Stream.SPLIT, (0,)))
@example((3, Stream.SPLIT, (0,)), (3, Stream.SPLIT, (0, 0)))
@example((0, Stream.SPLIT, (2,)), (2**32, Stream.SPLIT, (2,)))
@example((2**32 * Stream.SPLIT, Stream.SHARE, ()), (0, Stream.SPLIT, (Stream.SHARE,)))
@example((5, Stream.PRETRAINING, (7,)), (5, Stream.PRETRAINING, (7, 0)))
def test_uses_that_differ_in_seed_stream_or_place_have_other_states(one: Use, other: Use) -> None:
    assert (state(one) == state(other)) == (one == other)


def test_no_two_uses_of_a_run_share_a_seed_of_torch() -> None:
    """It has 32 bits, so some of very many may; those of a run with few steps do not."""
    places = [(), *((a,) for a in range(10)), *((a, b) for a in range(10) for b in range(4))]
    mixed = [mixed_seed(0, stream, *place) for stream in Stream for place in places]

    assert len(set(mixed)) == len(mixed)


@given(USES)
def test_a_mixed_seed_has_32_bits_whatever_the_size_of_the_seed(use: Use) -> None:
    """Torch's generator on the CPU looks at no more."""
    seed, stream, place = use
    mixed = mixed_seed(seed, stream, *place)

    assert 0 <= mixed < 2**32
    assert mixed_seed(seed, stream, *place) == mixed


@pytest.mark.parametrize(("seed", "place"), [(2**128, ()), (0, (2**32,)), (0, (1, 2**40))])
def test_what_would_run_into_other_uses_is_refused(seed: int, place: tuple[int, ...]) -> None:
    with pytest.raises(AssertionError, match="would run into"):
        mixed_seed(seed, Stream.SPLIT, *place)


def test_a_seed_keeps_its_results_from_version_to_version() -> None:
    """Other numbers here mean that every run comes out otherwise, so that the version rises."""
    assert VERSION == 2
    assert mixed_seed(7, Stream.PRETRAINING, 3) == 3729773307
    assert mixed_seed(7, Stream.BENCH) == 3223769212  # the last stream
    assert int(random_numbers(7, Stream.SPLIT).integers(10**6)) == 396636


def test_another_process_mixes_the_same_number() -> None:
    program = """
from raynas.seeds import VERSION, Stream, mixed_seed
print(mixed_seed(3, Stream.PATHS, 5))
"""

    assert run_python(program) == str(mixed_seed(3, Stream.PATHS, 5))


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Yield the calls in a file, and the last part of what each one calls."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func).rpartition(".")[2], node


def strays(path: Path) -> list[str]:
    """Return calls in a file that seed a generator by something else than ``mixed_seed``."""
    return [
        f"{path.relative_to(ROOT)}:{call.lineno}: {ast.unparse(call)}"
        for name, call in calls(path)
        if name in NUMPY
        or (name in {"manual_seed", "seed"} and "mixed_seed(" not in ast.unparse(call))
    ]


def test_generators_are_seeded_by_one_module_alone() -> None:
    assert not [stray for path in PRODUCT for stray in strays(path)]


def test_no_stream_has_two_uses_in_different_modules() -> None:
    """``BENCH`` has a list of its uses; batches and modules tell theirs apart by the stream."""
    users: dict[str, set[str]] = {}
    for path in PRODUCT:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "Stream":
                users.setdefault(node.attr, set()).add(path.relative_to(ROOT).as_posix())
    shared = {stream for stream, files in users.items() if len(files) > 1}

    assert set(users) == set(Stream.__members__)
    measured = {"PRETRAINING", "MOMENTS"}  # tests/bench takes the batches that a run would take
    assert shared <= {"BENCH"} | measured
