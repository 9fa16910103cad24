"""The Arrow schemas of a run's tables: the contract with everyone who reads them.

Names carry units: ``seconds``, ``macs`` (multiply-adds, what papers call FLOPs), ``accuracy``
in [0, 1]. Columns may be added, never renamed. Each table and column says what it is in its
metadata (``description``), from which ``.docs/pages/tables.md`` is made.
"""

import pyarrow as pa

from raynas.storage.answer_schemas import ANSWER_SCHEMAS
from raynas.storage.columns import (
    BOOL,
    ERROR,
    FLOAT,
    INT,
    LATENCY,
    MACS,
    PARAMS,
    STRING,
    TIME,
    TRAINED_ON,
    table_of,
)
from raynas.storage.network_schemas import NETWORK_SCHEMAS

SCHEMAS: dict[str, pa.Schema] = {
    "runs": table_of(
        "the run",
        {
            "run": (STRING, "name of the run folder"),
            "space": (STRING, "name or file of the search space"),
            "settings": (STRING, "JSON: all settings"),
            "method": (STRING, "name or file of the method"),
            "seed": (INT, "seed of all random numbers"),
            "versions": (STRING, "JSON: Python and packages, each with its version"),
            "git_commit": (STRING, "commit of raynas' source; null: it is no checkout"),
            "started": (TIME, "when it began first"),
            "finished": (TIME, "when it ended; null: it has not"),
            "nodes": (INT, "nodes of the cluster"),
            "cpus": (FLOAT, "CPUs of the cluster"),
            "gpus": (FLOAT, "GPUs of the cluster"),
            "best_score": (FLOAT, "best score that the search found"),
            "optimal_score": (FLOAT, "best score that there is within the limits"),
            "search_seconds": (FLOAT, "until the architectures to retrain were known"),
            "pretrained": (STRING, "run whose pretraining it took over; null: its own"),
            "warm_start": (STRING, "earlier run from which it took what was the same"),
            "forecast": (
                STRING,
                "JSON by stage: seconds, low_seconds, high_seconds, gpu_hours, written_bytes",
            ),
            "spent": (STRING, "JSON by stage: seconds, gpu_hours, written_bytes"),
            "plan": (STRING, "JSON: of images and cluster, what learns, settings as asked for"),
        },
    ),
    "images": table_of(
        "an image",
        {
            "path": (STRING, "file, in the folder that --data names; or the part of a named set"),
            "row": (INT, "of the file; null: the file is the image"),
            "class": (STRING, "name of its class"),
            "part": (STRING, "train, val or test; null: it could not be read, so it is in none"),
            "file_bytes": (INT, "size of the file; null: there is none"),
            **dict.fromkeys(("width", "height"), (INT, "pixels; null: it does not say")),
            "channels": (INT, "1: grey, 3: colour; null: it does not say"),
        },
    ),
    "lost_images": table_of(
        "an image that could not be read when a batch needed it",
        {
            "image": (STRING, "its path, or its file and row"),
            "error": (STRING, "why it could not be read"),
        },
    ),
    "steps": table_of(
        "a pretraining step",
        {
            "step": (INT, "number of the step, from 0"),
            "epoch": (FLOAT, "passes over the training images so far"),
            "loss": (FLOAT, "mean loss of the step's paths, in nats"),
            "learning_rate": (FLOAT, "of the batch norms"),
            "seconds": (FLOAT, "wall time of the step"),
            "images_per_second": (FLOAT, "images times paths, per second"),
            "workers": (INT, "workers that could be asked to compute it"),
            "waiting_share": (FLOAT, "share of the workers' time that went into waiting"),
        },
    ),
    "ledger": table_of(
        "a candidate and its number of updates",
        {
            "layer": (INT, "layer, from 0"),
            "candidate": (INT, "index of the candidate"),
            "operation": (STRING, "name of the candidate"),
            "updates": (INT, "times that it was trained"),
        },
    ),
    "isometry": table_of(
        "a candidate at initialisation",
        {
            "layer": (INT, "layer, from 0"),
            "candidate": (INT, "index of the candidate"),
            "operation": (STRING, "name of the candidate"),
            "phi": (FLOAT, "mean squared singular value of its Jacobian"),
            "varphi": (FLOAT, "variance of the squared singular values"),
            "largest_singular_value": (FLOAT, "null: not of rows that compare"),
            "output_variance": (FLOAT, "variance of what it puts out"),
            "initialisation": (STRING, "of the run, or gaussian to compare; null: the run's"),
            "batch_norm": (BOOL, "measured with batch norms or without; null: with"),
        },
    ),
    "indicators": table_of(
        "an indicator at a recorded step",
        {
            "step": (INT, "step of pretraining after which it was read"),
            "layer": (INT, "layer, from 0"),
            "candidate": (INT, "index of the candidate; null: a layer indicator"),
            "operation": (STRING, "name of the candidate"),
            "kind": (STRING, "block, layer, taylor, saliency, relu_inputs, score, calibrated"),
            "value": (
                FLOAT,
                "the indicator; score, calibrated: what it adds to a score",
            ),
        },
    ),
    "architectures": table_of(
        "an architecture scored by the search, or found by a differentiable one",
        {
            "order": (INT, "place in the order of scoring, from 0"),
            "generation": (INT, "generation of the evolution, from 0"),
            "architecture": (STRING, "a candidate index per layer"),
            "origin": (
                STRING,
                "random, mutation, crossover, exact, calibrated, differentiable, given",
            ),
            "parents": (STRING, "the architectures it was bred from"),
            "score": (FLOAT, "higher is better; null: a person named the architecture"),
            "macs": MACS,
            "params": PARAMS,
            "latency_ms": LATENCY,
        },
    ),
    "gates": table_of(
        "a gate of a differentiable search after an epoch: an operation on an edge of a kind of "
        "cell",
        {
            "seed": (INT, "of the search, of which a run may have several"),
            "epoch": (INT, "epoch of the search, from 1"),
            "cell": (STRING, "normal or reduction"),
            "source": (INT, "state from which the edge comes"),
            "node": (INT, "node to which it leads, from 0"),
            "operation": (STRING, "name of the operation"),
            "alpha": (FLOAT, "what was learnt"),
            "weight": (FLOAT, "what the genotype is chosen by, a softmax of alpha"),
            "probability": (FLOAT, "that the gate is open; null: the method has no gates"),
        },
    ),
    "search_epochs": table_of(
        "an epoch of a differentiable search",
        {
            "seed": (INT, "of the search"),
            "epoch": (INT, "epoch, from 1; 0: it failed before its first one"),
            "train_loss": (FLOAT, "on the half that trains the weights, in nats"),
            "val_loss": (FLOAT, "on the half that trains the gates, in nats"),
            "val_accuracy": (FLOAT, "on the half that trains the gates, while training"),
            "penalty": (FLOAT, "what groups of gates cost less what the path earned, a mean"),
            "temperature": (FLOAT, "of the gates"),
            "learning_rate": (FLOAT, "of the weights"),
            "seconds": (FLOAT, "wall time of the epoch"),
            "genotype": (STRING, "of the gates as they are, whatever it costs"),
            "normal_skip_share": (FLOAT, "skip connections among the genotype's operations"),
            "reduction_skip_share": (FLOAT, "the same of the reduction cell"),
            "normal_path_depth": (
                FLOAT,
                "operations with weights on a path from an input to a node, a mean over all paths",
            ),
            "reduction_path_depth": (FLOAT, "the same of the reduction cell"),
            "status": (STRING, "in a search's last row: finished, stopped or failed"),
            "error": ERROR,
        },
    ),
    "checks": table_of(
        "an architecture that was trained briefly, so that the score learns",
        {
            "architecture": (STRING, "a candidate index per layer"),
            "score": (FLOAT, "of the search"),
            "depth": (INT, "layers that are not skipped"),
            "macs": MACS,
            "params": PARAMS,
            "naswot": (FLOAT, "a score of the untrained network, to compare"),
            "val_accuracy": (FLOAT, "after the brief training, in [0, 1]"),
            "seconds": (FLOAT, "time of the training"),
            "status": (STRING, "finished or failed"),
            "error": ERROR,
            "latency_ms": LATENCY,
        },
    ),
    "trials": table_of(
        "an epoch of a retraining trial",
        {
            "trial": (STRING, "Tune's name of the trial"),
            "architecture": (STRING, "a candidate index per layer"),
            "epoch": (INT, "epoch, from 1"),
            "train_loss": (FLOAT, "what is minimised, in nats: cross-entropy and additions"),
            "val_loss": (FLOAT, "cross-entropy in nats, of the averaged weights"),
            "val_accuracy": (FLOAT, "likewise, in [0, 1]"),
            "seconds": (FLOAT, "time of the epoch"),
            "learning_rate": (FLOAT, "at the epoch's end"),
            "val_balanced_accuracy": (FLOAT, "mean of the classes' recalls, in [0, 1]"),
            "trained_on": TRAINED_ON,
        },
    ),
    "calibration": table_of(
        "a weight of what was learned after an accuracy has come in",
        {
            "trial_number": (INT, "accuracies so far"),
            "architecture": (STRING, "whose accuracy came in"),
            "accuracy": (FLOAT, "that accuracy, in [0, 1]"),
            "weight": (FLOAT, "of that accuracy: 1 for a whole training, less on the way"),
            "feature": (STRING, "what the weight is of"),
            "mean": (FLOAT, "of the belief"),
            "standard_deviation": (FLOAT, "of the belief"),
            "belief": (FLOAT, "probability of the reading that the feature is of; null: one"),
        },
    ),
    "predictions": table_of(
        "an architecture, and what is predicted of a brief training of it",
        {
            "architecture": (STRING, "a candidate index per layer"),
            "kind": (STRING, "left_out: by the other trainings alone; winner: by all of them"),
            "accuracy": (FLOAT, "what the training came to, in [0, 1]; null: there was none"),
            "predicted_accuracy": (FLOAT, "in [0, 1], the median"),
            "predicted_low": (FLOAT, "5th percentile"),
            "predicted_high": (FLOAT, "95th percentile"),
        },
    ),
    **NETWORK_SCHEMAS,
    **ANSWER_SCHEMAS,
}
"""Table name to schema, in the order in which a run fills them."""
