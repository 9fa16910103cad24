"""What schemas are made of: kinds of columns, and columns that several tables have."""

from collections.abc import Mapping

import pyarrow as pa

STRING, INT, FLOAT, BOOL = pa.string(), pa.int64(), pa.float64(), pa.bool_()
TIME = pa.timestamp("us", tz="UTC")
LATENCY = (FLOAT, "milliseconds by the run's table of latencies; null: it had none")
MEASURED = (
    FLOAT,
    (
        "median milliseconds of an image in torch, float32, on one CPU thread of the driver, also "
        "where GPUs trained; all networks of the run in turn; null: not measured"
    ),
)
MACS, PARAMS = (INT, "multiply-adds of an image"), (INT, "parameters")
TRAINED_ON = (STRING, "train, or all: validation images, too, so no accuracy there; null: train")
TEMPERATURE = (
    FLOAT,
    "by which logits are divided for probabilities that are calibrated; null: by nothing",
)
ERROR = (STRING, "why it failed; null: it did not")

EPOCH_OF_TRAINING = {
    "epoch": (INT, "epoch, from 1"),
    **dict.fromkeys(("train_loss", "val_loss"), (FLOAT, "as in the table trials")),
    "val_accuracy": (FLOAT, "in [0, 1]"),
    "seconds": (FLOAT, "time of the epoch"),
    "learning_rate": (FLOAT, "at the epoch's end"),
    "val_balanced_accuracy": (FLOAT, "mean of the classes' recalls, in [0, 1]"),
    "trained_on": TRAINED_ON,
}


def table_of(row: str, columns: Mapping[str, tuple[pa.DataType, str]]) -> pa.Schema:
    """Return a schema whose table and columns say what they are."""
    fields = [
        pa.field(name, kind, metadata={"description": text})
        for name, (kind, text) in columns.items()
    ]
    return pa.schema(fields, metadata={"description": row})
