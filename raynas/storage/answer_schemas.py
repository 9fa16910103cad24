"""The tables of what trained networks answered, image by image."""

import pyarrow as pa

from raynas.storage.columns import BOOL, STRING, table_of

_SHORT, _SHARE = pa.int32(), pa.float32()
_NETWORK = {
    "network": (STRING, "architecture, or the name of a rival"),
    "is_rival": (BOOL, "whether it stands beside the winners, in the table rivals"),
    "trained_on": (STRING, "train or all, as in outcomes"),
}

ANSWER_SCHEMAS: dict[str, pa.Schema] = {
    "answers": table_of(
        "what a network that was trained to its end answered on a validation or test image",
        {
            **_NETWORK,
            "part": (STRING, "val or test"),
            "image": (
                _SHORT,
                "index in the part, from 0: its place among the rows of images of that part",
            ),
            "label": (_SHORT, "index of its class in runs.plan.classes"),
            "answer": (_SHORT, "index of the most probable class"),
            "confidence": (_SHARE, "probability of the answer, in [0, 1]"),
            "label_probability": (_SHARE, "probability of the label, in [0, 1]"),
            "scaled_confidence": (
                _SHARE,
                "confidence with logits divided by the temperature; null: there is none",
            ),
        },
    ),
    "mistakes": table_of(
        "a test image on which a network was most confident and wrong",
        {
            **_NETWORK,
            "image": (_SHORT, "index in the test part, as in answers"),
            "picture": (pa.binary(), "PNG or JPEG: what the network sees, 96 pixels at most"),
        },
    ),
}
"""Table name to schema; a part of them is of one training, by its name."""
