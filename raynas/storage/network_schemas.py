"""The tables of networks that were trained to their ends: winners, a teacher, and rivals."""

import pyarrow as pa

from raynas.storage.columns import (
    BOOL,
    EPOCH_OF_TRAINING,
    ERROR,
    FLOAT,
    INT,
    LATENCY,
    MACS,
    MEASURED,
    PARAMS,
    STRING,
    TEMPERATURE,
    TRAINED_ON,
    table_of,
)

NETWORK_SCHEMAS: dict[str, pa.Schema] = {
    "outcomes": table_of(
        "an architecture that was retrained",
        {
            "rank": (INT, "of the network by validation accuracy, from 1"),
            "architecture": (STRING, "a candidate index per layer"),
            "score": (FLOAT, "for which it was chosen; null: a person named it"),
            "macs": MACS,
            "params": PARAMS,
            "val_accuracy": (FLOAT, "in [0, 1]"),
            "test_accuracy": (FLOAT, "in [0, 1], looked at once; null: not trained to its end"),
            "epochs": (INT, "epochs trained"),
            "status": (STRING, "finished, stopped (by the scheduler) or failed"),
            "error": ERROR,
            "checkpoint": (STRING, "its weights, in the run folder"),
            "latency_ms": LATENCY,
            "on_front": (BOOL, "not dominated in accuracy and costs; null: one objective"),
            "val_balanced_accuracy": (FLOAT, "mean of the classes' recalls, in [0, 1]"),
            "test_balanced_accuracy": (FLOAT, "the same of the test"),
            "test_images": (INT, "images of the test, for the accuracy's interval"),
            "genotype": (STRING, "of a network of cells, for people; null: layers in a chain"),
            "trained_on": TRAINED_ON,
            "temperature": TEMPERATURE,
            "measured_ms": MEASURED,
        },
    ),
    "teacher_epochs": table_of(
        "an epoch of the training of the network whose answers the others learn",
        {
            "trial": (STRING, "Tune's name of the trial"),
            "teacher": (STRING, "name of the network, as a person gave it"),
            **EPOCH_OF_TRAINING,
        },
    ),
    "rival_epochs": table_of(
        "an epoch of the training of a network beside the winners",
        {
            "trial": (STRING, "Tune's name of the trial"),
            "rival": (STRING, "name of the network, as a person gave it"),
            **EPOCH_OF_TRAINING,
        },
    ),
    "rivals": table_of(
        "a network beside the winners, trained like them",
        {
            "rival": (STRING, "its name, as a person gave it"),
            "network": (STRING, "that with its width, an architecture, or what is made of one"),
            "macs": MACS,
            "params": PARAMS,
            "latency_ms": (FLOAT, "milliseconds, timed where it was planned; null: no table"),
            "val_accuracy": (FLOAT, "in [0, 1]"),
            "test_accuracy": (FLOAT, "in [0, 1], looked at once; null: not trained to its end"),
            "epochs": (INT, "epochs trained"),
            "status": (STRING, "finished, failed, or left out"),
            "error": (STRING, "why it failed or was left out; null: it did not"),
            "checkpoint": (STRING, "its weights, in the run folder"),
            "val_balanced_accuracy": (FLOAT, "mean of the classes' recalls, in [0, 1]"),
            "test_balanced_accuracy": (FLOAT, "the same of the test"),
            "test_images": (INT, "images of the test, for the accuracy's interval"),
            "trained_on": TRAINED_ON,
            "temperature": TEMPERATURE,
            "begun_from": (
                STRING,
                "new weights, start, or a library's; null: left out, or an older run",
            ),
            "measured_ms": MEASURED,
        },
    ),
}
"""Table name to schema; trainings are parts of the tables of epochs, by their names."""
