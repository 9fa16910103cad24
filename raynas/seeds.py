"""Seeds for torch's generators, which look at the lowest 32 bits only, mixed by numpy."""

import numpy as np


def mixed_seed(seed: int, *place: int) -> int:
    """Return 32 well-mixed bits of a run's seed and of where it is used.

    Args:
        seed: Seed of the run, at least 0.
        place: Numbers that tell this use from others, each at least 0.
    """
    return int(np.random.SeedSequence([seed, *place]).generate_state(1)[0])
