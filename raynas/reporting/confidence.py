"""How exactly an accuracy is known: Wilson's 95 % interval (JASA 22:158, 1927).

Unlike the normal approximation it never leaves [0, 1], and few or only right answers do not
shrink it to a point.
"""

import math

_Z = 1.959963984540054  # a normal variable lies within plus or minus this in 95 of 100 cases


def wilson(correct_share: float, images: int) -> tuple[float, float]:
    """Return the ends of the 95 % interval of an accuracy that was measured on some images.

    Args:
        correct_share: Share of the images that was classified correctly, in [0, 1].
        images: How many images it was measured on; none say nothing.

    Returns:
        Low and high end, both in [0, 1]; it is (0, 1) for no images.

    Raises:
        ValueError: A share outside [0, 1], or fewer than no images.
    """
    if images < 0 or not 0 <= correct_share <= 1:
        raise ValueError(f"a share of {correct_share} of {images} images; wanted one in [0, 1]")
    if not images:
        return 0.0, 1.0
    noise = _Z**2 / images  # z^2 / n
    centre = (correct_share + noise / 2) / (1 + noise)
    variance = (correct_share * (1 - correct_share) + noise / 4) / images  # p q / n + (z / 2 n)^2
    reach = _Z * math.sqrt(variance) / (1 + noise)
    return max(centre - reach, 0.0), min(centre + reach, 1.0)
