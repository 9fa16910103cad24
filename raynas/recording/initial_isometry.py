"""What is measured before anything is trained: isometry, beside that of Gaussian weights.

Orthogonal weights equalise the gain of candidates without batch norms, and little is left of that
with them, so both are recorded. Weights that are inherited are no choice of an initialisation:
they are measured as they are used, with batch norms, and compared with nothing.
"""

from raynas.nets.initialisation import Initialisation, frozen_supernet
from raynas.nets.isometry import measure_supernet
from raynas.recording.rows import Rows, isometry_rows
from raynas.settings.pretrain import PretrainSettings
from raynas.spaces.chain import SearchSpace
from raynas.training.starts.inheriting import State


def initial_isometry(  # noqa: PLR0913 - everything that defines the weights
    space: SearchSpace,
    channels: int,
    num_classes: int,
    settings: PretrainSettings,
    seed: int,
    inherited: State | None = None,
) -> Rows:
    """Return rows of the run's initialisation and of Gaussian, with and without batch norms.

    Comparisons and inherited weights have no largest singular value, which would take most of the
    time.

    Args:
        space: The space that is searched.
        channels: Of the images.
        num_classes: Of the task.
        settings: Of the pretraining.
        seed: Of the run.
        inherited: State of a supernet that has inherited its weights; None: they are drawn.
    """
    own = settings.initialisation
    if inherited is not None:
        supernet = frozen_supernet(
            space, channels, num_classes, settings.layer_indicator, settings.drawn, seed
        )
        supernet.load_state_dict(inherited)
        measured = measure_supernet(supernet, seed, batch_norm=True, brief=True)
        return isometry_rows(space, measured, own, batch_norm=True)
    drawn: dict[str, Initialisation] = {own: settings.drawn, "gaussian": "gaussian"}
    rows: Rows = []
    for initialisation, kind in drawn.items():
        indicator = settings.layer_indicator
        supernet = frozen_supernet(space, channels, num_classes, indicator, kind, seed)
        for batch_norm in (True, False):
            brief = (initialisation, batch_norm) != (own, True)
            measured = measure_supernet(supernet, seed, batch_norm, brief)
            rows += isometry_rows(space, measured, initialisation, batch_norm)
    return rows
