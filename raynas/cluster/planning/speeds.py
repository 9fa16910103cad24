"""What a probe measures and a forecast counts with: the seconds that parts of a run take."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Speeds:
    """Seconds that the parts of a run take.

    Attributes:
        start: Until all workers are at work, or new processes where nothing is pretrained.
        isometry: The measurements before the pretraining.
        step: A step of the pretraining.
        score: A score of a single architecture; 0 if scores are sums over layers.
        epochs: An epoch of retraining with its validation, of a median network and of a slow one.
        tests: The test at the end of a retraining, of the same networks.
        checkpoint_bytes: Of the pretraining.
        network_bytes: Of such networks.
        gate_epoch: An epoch of a differentiable search; 0 if there is none.
        gates_bytes: Of such a search's checkpoint.
    """

    start: float
    isometry: float
    step: float
    score: float
    epochs: tuple[float, float]
    tests: tuple[float, float]
    checkpoint_bytes: int
    network_bytes: int
    gate_epoch: float = 0.0
    gates_bytes: int = 0
