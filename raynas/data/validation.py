"""What no data set may be, each refused in a sentence with the way out."""

import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from raynas.data.decoding import Square, why_broken
from raynas.data.encoded_images import Raws
from raynas.data.image_index import Source
from raynas.errors import UserError

Labels = npt.NDArray[np.int64]


def refuse_unusable(data: str, source: Source) -> None:
    """Refuse data without images, with a single class, or with two that look the same."""
    if not source.images:
        raise UserError(f"data {data}: found no images; wanted one folder per class, or Parquet")
    _refuse_spellings(data, source)
    present = set(source.images.labels.tolist())
    if len(present) < 2:
        over = f" beside {', '.join(source.passed_over)}" if source.passed_over else ""
        raise UserError(
            f"data {data}: found one class only ({source.class_names[present.pop()]}){over}, "
            "wanted at least two; put the images of each class into a folder of its own"
        )


def _refuse_spellings(data: str, source: Source) -> None:
    """Refuse names of classes that nothing, or only their code points, tell apart.

    A disk never holds two of the same name, but macOS writes accents in its own way.
    """
    seen: dict[str, int] = {}
    for label, name in enumerate(source.class_names):
        other = seen.setdefault(unicodedata.normalize("NFC", name), label)
        if other != label and source.class_names[other] == name:
            raise UserError(
                f"data {data}: its metadata call two classes {name}, those of the labels {other} "
                f"and {label}; give each a name of its own"
            )
        if other != label:
            pair = [_example(source, each) for each in (other, label)]
            raise UserError(
                f"data {data}: class {name} is spelt in two ways that look the same, with accents "
                "as characters of their own (Unicode NFD) and without (NFC), such as "
                f"{pair[0]!a} and {pair[1]!a}; rename one of them"
            )


def _example(source: Source, label: int) -> str:
    found = np.flatnonzero(source.images.labels == label)
    return source.images[int(found[0])].name if len(found) else source.class_names[label]


def refuse_corrupt(data: str, skipped: Raws, count: int, bearable: float, square: Square) -> None:
    """Refuse data of which a larger share than is bearable cannot be read, of those looked at."""
    if len(skipped) > bearable * count:
        raise UserError(
            f"data {data}: {len(skipped)} of {count} images cannot be read, such as "
            f"{skipped[0].name} ({why_broken(skipped[0].open, square)}); mend or remove them, or "
            "raise --images.max-corrupt"
        )


def refuse_parts(
    data: str,
    parts: Mapping[str, Labels],
    labels: Labels,
    class_names: Sequence[str],
    tested: str = "test",
) -> None:
    """Refuse an empty part, and classes that there is nothing to learn of.

    Args:
        data: For the message.
        parts: Indices of images by part.
        labels: Of all images.
        class_names: In the order of the labels.
        tested: What the data call the images of the test.
    """
    if not len(parts["train"]):
        raise UserError(
            f"data {data}: all its images are for validation or test by the names of their "
            "folders or files, wanted some to train on; add some, or say which folders are parts "
            "by --images.parts"
        )
    for name, indices in parts.items():
        if not len(indices):
            raise UserError(
                f"data {data}: {len(labels)} images leave none for the {name} part; "
                "bring more images, or raise its fraction"
            )
    learned = set(labels[parts["train"]])
    for part, name in (("val", "val"), ("test", tested)):
        for label in sorted(set(labels[parts[part]]) - learned):
            raise UserError(
                f"data {data}: class {class_names[label]} has {name} images but no training "
                f"images; bring some, or take it out of {name} (names of classes must agree in "
                "all parts, also in upper and lower case)"
            )
