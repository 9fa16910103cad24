"""What a probe measures and a forecast counts with: the seconds that parts of a run take."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Speeds:
    """Seconds that the parts of a run take.

    Attributes:
        start: Until all workers are at work, or new processes where nothing is pretrained.
        isometry: The measurements before the pretraining.
        step: A step of the pretraining.
        epochs: An epoch of retraining with its validation, of a median network and of a slow one.
        tests: The test at the end of a retraining, of the same networks.
        checkpoint_bytes: Of the pretraining.
        network_bytes: Of the median network's weights.
        network_macs: Of the median network.
        search: What a search repeats: a score of a single architecture, or an epoch of a
            differentiable search; 0 if it repeats nothing that takes long.
        search_bytes: Of the checkpoint of a search that trains.
    """

    start: float
    isometry: float
    step: float
    epochs: tuple[float, float]
    tests: tuple[float, float]
    checkpoint_bytes: int
    network_bytes: int
    network_macs: int
    search: float = 0.0
    search_bytes: int = 0
