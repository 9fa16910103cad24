"""Seeds for torch's generators: 32 bits that tell every seed and every place apart."""

from hypothesis import given
from hypothesis import strategies as st

from raynas.seeds import mixed_seed
from tests.builders import run_python

SEEDS = st.integers(0, 2**80)
PLACES = st.lists(st.integers(0, 2**32 - 1), max_size=3)


@given(SEEDS, PLACES)
def test_a_mixed_seed_has_32_bits_whatever_the_size_of_the_seed(
    seed: int, place: list[int]
) -> None:
    """Torch's generator on the CPU looks at no more."""
    mixed = mixed_seed(seed, *place)

    assert 0 <= mixed < 2**32
    assert mixed_seed(seed, *place) == mixed


def test_seeds_and_places_that_differ_mix_to_different_numbers() -> None:
    mixed = {mixed_seed(seed, *place) for seed in range(50) for place in [(), (1,), (2,), (1, 1)]}

    assert len(mixed) == 200


def test_another_process_mixes_the_same_number() -> None:
    program = "from raynas.seeds import mixed_seed; print(mixed_seed(3, 4, 5))"

    assert run_python(program) == str(mixed_seed(3, 4, 5))
