"""Two parts of the data as one, without a copy of either: what is trained on at the end."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from raynas.data.decoding import Square

if TYPE_CHECKING:
    from raynas.data.dataset import Images

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class JoinedImages:
    """Decoded images of two parts, the first one's before the second one's.

    Attributes:
        first: Images of a part.
        second: Images of another one, of the same form.
    """

    first: "Images"
    second: "Images"

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    @cached_property
    def labels(self) -> Numbers:
        """N, int64, an index into the class names."""
        return np.concatenate([self.first.labels, self.second.labels])

    @property
    def square(self) -> Square:
        """The form of each image."""
        return self.first.square

    def take(self, indices: Numbers) -> "Images":
        """Return the images of those indices, copied."""
        is_first = indices < len(self.first)
        shape = len(indices), *self.first.pixels.shape[1:]
        pixels = np.empty(shape, dtype=self.first.pixels.dtype)
        pixels[is_first] = self.first.pixels[indices[is_first]]
        pixels[~is_first] = self.second.pixels[indices[~is_first] - len(self.first)]
        return replace(self.first, pixels=pixels, labels=self.labels[indices])

    some = take
