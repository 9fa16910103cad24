"""What is measured before anything is trained: isometry, beside that of Gaussian weights.

Orthogonal weights equalise the gain of candidates without batch norms, and little is left of that
with them, so both are recorded.
"""

from raynas.nets.initialisation import Initialisation, frozen_supernet
from raynas.nets.isometry import measure_supernet
from raynas.recording.rows import Rows, isometry_rows
from raynas.settings.pretrain import PretrainSettings
from raynas.spaces.chain import SearchSpace


def initial_isometry(
    space: SearchSpace, channels: int, num_classes: int, settings: PretrainSettings, seed: int
) -> Rows:
    """Return rows of the run's initialisation and of Gaussian, with and without batch norms.

    Comparisons have no largest singular value, which would take most of the time.
    """
    own: Initialisation = settings.initialisation
    others: tuple[Initialisation, ...] = () if own == "gaussian" else ("gaussian",)
    rows: Rows = []
    for initialisation in (own, *others):
        indicator = settings.layer_indicator
        supernet = frozen_supernet(space, channels, num_classes, indicator, initialisation, seed)
        for batch_norm in (True, False):
            brief = (initialisation, batch_norm) != (own, True)
            measured = measure_supernet(supernet, seed, batch_norm, brief)
            rows += isometry_rows(space, measured, initialisation, batch_norm)
    return rows
