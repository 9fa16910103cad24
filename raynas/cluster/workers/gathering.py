"""What has come of a step so far: each piece counts once, whoever computed it and how often.

Pieces of a worker that is late are computed by others, too, so an answer may come to pieces that
were answered before. A sum cannot be taken apart; therefore answers with one are taken whole or not
at all, and those that were taken have no piece in common.
"""

from collections.abc import Sequence

from raynas.cluster.workers.messages import Answer
from raynas.training.exact_sums import ExactSum
from raynas.training.gradients import Computed, Gradient


class Gathering:
    """The answers to the pieces of one step.

    Attributes:
        seconds: That workers took for the pieces.
        waited: Part of them that their devices waited for batches.
    """

    def __init__(self, step: int, num_pieces: int) -> None:
        """Begin a step of so many pieces."""
        self.seconds = self.waited = 0.0
        self._step = step
        self._num_pieces = num_pieces
        self._gradients: dict[int, Gradient] = {}
        self._classifier: ExactSum | None = None

    @property
    def missing(self) -> list[int]:
        """The indices of the pieces that no answer has been taken for."""
        return [index for index in range(self._num_pieces) if index not in self._gradients]

    def add(self, share: Sequence[int], answer: Answer) -> None:
        """Take an answer, unless it is to another step or sums up a piece that has come already.

        Args:
            share: The indices of the pieces that were asked for.
            answer: The answer to all of them.
        """
        computed = answer.computed
        counts_twice = any(index in self._gradients for index in share)
        if answer.step != self._step or (counts_twice and computed.classifier.units.size):
            return  # it is late, and others have done it
        self._gradients |= zip(share, computed.gradients, strict=True)
        total = self._classifier
        self._classifier = total.plus_(computed.classifier) if total else computed.classifier
        self.seconds, self.waited = self.seconds + answer.seconds, self.waited + answer.waited

    def computed(self) -> Computed:
        """Return what came of all pieces, in their order."""
        assert self._classifier is not None
        gradients = [self._gradients[index] for index in range(self._num_pieces)]
        return Computed(gradients, self._classifier)
