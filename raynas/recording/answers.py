"""The tables ``answers`` and ``mistakes``: what trained networks said of each image."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from raynas.data.dataset import Part
from raynas.data.thumbnails import thumbnail
from raynas.storage.outcome_rows import TrainedOn
from raynas.storage.run_store import RunStore
from raynas.training.answers import Answers
from raynas.training.checkpoints import checkpoint_path, is_whole

MOST_MISTAKES = 12
"""Of a network, the most confident ones."""


@dataclass(frozen=True)
class Answering:
    """A network that was trained to its end.

    Attributes:
        part: Name of its training, which is that of its parts of the tables.
        network: Its architecture, or its name as a rival.
        is_rival: Which of the two.
        trained_on: Its images.
    """

    part: str
    network: str
    is_rival: bool
    trained_on: TrainedOn

    def columns(self, rows: int) -> dict[str, pa.Array]:
        """Return the columns that say which network it is."""
        return {
            name: pa.repeat(value, rows)
            for name, value in (
                ("network", self.network),
                ("is_rival", self.is_rival),
                ("trained_on", self.trained_on),
            )
        }


def write_answers(store: RunStore, of: Answering, answers: dict[str, Answers]) -> None:
    """Write what a network answered, in the place of what it had before.

    Args:
        store: The run folder.
        of: The network.
        answers: By part of the images.
    """
    tables = [_table(of, part, found) for part, found in answers.items()]
    store.append_table("answers", pa.concat_tables(tables), of.part)


def _table(of: Answering, part: str, found: Answers) -> pa.Table:
    rows, scaled = len(found.label), found.scaled_confidence
    return pa.table(
        of.columns(rows)
        | {
            "part": pa.repeat(part, rows),
            "image": np.arange(rows, dtype=np.int32),
            **{
                name: getattr(found, name)
                for name in ("label", "answer", "confidence", "label_probability")
            },
            "scaled_confidence": pa.nulls(rows, pa.float32()) if scaled is None else scaled,
        }
    )


def write_mistakes(store: RunStore, of: Answering, test: Answers, images: Part) -> None:
    """Write pictures of the test images on which a network was most confident and wrong.

    Args:
        store: The run folder.
        of: The network.
        test: What it answered.
        images: The test part.
    """
    worst = worst_mistakes(test)
    pictures = [thumbnail(pixels) for pixels in images.take(worst).pixels] if len(worst) else []
    columns = {"image": worst.astype(np.int32), "picture": pa.array(pictures, pa.binary())}
    store.append_table("mistakes", pa.table(of.columns(len(worst)) | columns), of.part)


def worst_mistakes(answers: Answers) -> npt.NDArray[np.int64]:
    """Return which images got the most confident wrong answers, the most confident first."""
    wrong = np.flatnonzero(answers.answer != answers.label)
    order = np.argsort(-answers.confidence[wrong], kind="stable")
    return wrong[order][:MOST_MISTAKES]


def is_answered(store: RunStore, training: str) -> bool:
    """Return whether there is nothing to add to a finished training's answers.

    Where they are lost its last checkpoint makes them again without any training.

    Args:
        store: The run folder.
        training: Its name.
    """
    known = all(training in store.parts(table) for table in ("answers", "mistakes"))
    return known or not is_whole(store, checkpoint_path(training))
