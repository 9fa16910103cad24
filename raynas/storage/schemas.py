"""The Arrow schemas of a run's tables: the contract with everyone who reads them.

Names carry units: ``seconds``, ``macs`` (multiply-adds, what papers call FLOPs), ``accuracy``
in [0, 1]. Columns may be added, never renamed. Each table and column says what it is in its
metadata (``description``), from which ``.docs/pages/tables.md`` is made.
"""

from collections.abc import Mapping

import pyarrow as pa

_STRING, _INT, _FLOAT, _BOOL = pa.string(), pa.int64(), pa.float64(), pa.bool_()
_TIME = pa.timestamp("us", tz="UTC")
_LATENCY = (_FLOAT, "milliseconds by the run's table of latencies; null: it had none")
_MACS, _PARAMS = (_INT, "multiply-adds of an image"), (_INT, "parameters")
_ERROR = (_STRING, "why it failed; null: it did not")


def _table(row: str, columns: Mapping[str, tuple[pa.DataType, str]]) -> pa.Schema:
    """Return a schema whose table and columns say what they are."""
    fields = [
        pa.field(name, kind, metadata={"description": text})
        for name, (kind, text) in columns.items()
    ]
    return pa.schema(fields, metadata={"description": row})


SCHEMAS: dict[str, pa.Schema] = {
    "runs": _table(
        "the run",
        {
            "run": (_STRING, "name of the run folder"),
            "space": (_STRING, "name or file of the search space"),
            "settings": (_STRING, "JSON: all settings"),
            "method": (_STRING, "name or file of the method"),
            "seed": (_INT, "seed of all random numbers"),
            "versions": (_STRING, "JSON: Python and packages, each with its version"),
            "git_commit": (_STRING, "commit of raynas' source; null: it is no checkout"),
            "started": (_TIME, "when it began first"),
            "finished": (_TIME, "when it ended; null: it has not"),
            "nodes": (_INT, "nodes of the cluster"),
            "cpus": (_FLOAT, "CPUs of the cluster"),
            "gpus": (_FLOAT, "GPUs of the cluster"),
            "best_score": (_FLOAT, "best score that the search found"),
            "optimal_score": (_FLOAT, "best score that there is within the limits"),
            "search_seconds": (_FLOAT, "until the architectures to retrain were known"),
            "pretrained": (_STRING, "run whose pretraining it took over; null: its own"),
            "warm_start": (_STRING, "earlier run from which it took what was the same"),
            "forecast": (
                _STRING,
                "JSON by stage: seconds, low_seconds, high_seconds, gpu_hours, written_bytes",
            ),
            "spent": (_STRING, "JSON by stage: seconds, gpu_hours, written_bytes"),
            "plan": (
                _STRING,
                "JSON: what was read from images and cluster, such as classes in label order",
            ),
        },
    ),
    "images": _table(
        "an image",
        {
            "path": (_STRING, "file, in the folder that --data names; or the part of a named set"),
            "row": (_INT, "of the file; null: the file is the image"),
            "class": (_STRING, "name of its class"),
            "part": (_STRING, "train, val or test; null: it could not be read, so it is in none"),
            "file_bytes": (_INT, "size of the file; null: there is none"),
            **dict.fromkeys(("width", "height"), (_INT, "pixels; null: it does not say")),
            "channels": (_INT, "1: grey, 3: colour; null: it does not say"),
        },
    ),
    "lost_images": _table(
        "an image that could not be read when a batch needed it",
        {
            "image": (_STRING, "its path, or its file and row"),
            "error": (_STRING, "why it could not be read"),
        },
    ),
    "steps": _table(
        "a pretraining step",
        {
            "step": (_INT, "number of the step, from 0"),
            "epoch": (_FLOAT, "passes over the training images so far"),
            "loss": (_FLOAT, "mean loss of the step's paths, in nats"),
            "learning_rate": (_FLOAT, "of the batch norms"),
            "seconds": (_FLOAT, "wall time of the step"),
            "images_per_second": (_FLOAT, "images times paths, per second"),
            "workers": (_INT, "workers that could be asked to compute it"),
            "waiting_share": (_FLOAT, "share of the workers' time that went into waiting"),
        },
    ),
    "ledger": _table(
        "a candidate and its number of updates",
        {
            "layer": (_INT, "layer, from 0"),
            "candidate": (_INT, "index of the candidate"),
            "operation": (_STRING, "name of the candidate"),
            "updates": (_INT, "times that it was trained"),
        },
    ),
    "isometry": _table(
        "a candidate at initialisation",
        {
            "layer": (_INT, "layer, from 0"),
            "candidate": (_INT, "index of the candidate"),
            "operation": (_STRING, "name of the candidate"),
            "phi": (_FLOAT, "mean squared singular value of its Jacobian"),
            "varphi": (_FLOAT, "variance of the squared singular values"),
            "largest_singular_value": (_FLOAT, "null: not of rows that compare"),
            "output_variance": (_FLOAT, "variance of what it puts out"),
            "initialisation": (_STRING, "of the run, or gaussian to compare; null: the run's"),
            "batch_norm": (_BOOL, "measured with batch norms or without; null: with"),
        },
    ),
    "indicators": _table(
        "an indicator at a recorded step",
        {
            "step": (_INT, "step of pretraining after which it was read"),
            "layer": (_INT, "layer, from 0"),
            "candidate": (_INT, "index of the candidate; null: a layer indicator"),
            "operation": (_STRING, "name of the candidate"),
            "kind": (_STRING, "block, layer, taylor, saliency, or calibrated"),
            "value": (_FLOAT, "the indicator; calibrated: what the search believes at last"),
        },
    ),
    "architectures": _table(
        "an architecture scored by the search, or found by a differentiable one",
        {
            "order": (_INT, "place in the order of scoring, from 0"),
            "generation": (_INT, "generation of the evolution, from 0"),
            "architecture": (_STRING, "a candidate index per layer"),
            "origin": (_STRING, "random, mutation, crossover, exact, calibrated, differentiable"),
            "parents": (_STRING, "the architectures it was bred from"),
            "score": (_FLOAT, "higher is better"),
            "macs": _MACS,
            "params": _PARAMS,
            "latency_ms": _LATENCY,
        },
    ),
    "gates": _table(
        "a gate of a differentiable search after an epoch: an operation on an edge of a kind of "
        "cell",
        {
            "seed": (_INT, "of the search, of which a run may have several"),
            "epoch": (_INT, "epoch of the search, from 1"),
            "cell": (_STRING, "normal or reduction"),
            "source": (_INT, "state from which the edge comes"),
            "node": (_INT, "node to which it leads, from 0"),
            "operation": (_STRING, "name of the operation"),
            "alpha": (_FLOAT, "what was learnt"),
            "weight": (_FLOAT, "what the genotype is chosen by, a softmax of alpha"),
            "probability": (_FLOAT, "that the gate is open; null: the method has no gates"),
        },
    ),
    "search_epochs": _table(
        "an epoch of a differentiable search",
        {
            "seed": (_INT, "of the search"),
            "epoch": (_INT, "epoch, from 1; 0: it failed before its first one"),
            "train_loss": (_FLOAT, "on the half that trains the weights, in nats"),
            "val_loss": (_FLOAT, "on the half that trains the gates, in nats"),
            "val_accuracy": (_FLOAT, "on the half that trains the gates, while training"),
            "penalty": (_FLOAT, "what groups of gates cost less what the path earned, a mean"),
            "temperature": (_FLOAT, "of the gates"),
            "learning_rate": (_FLOAT, "of the weights"),
            "seconds": (_FLOAT, "wall time of the epoch"),
            "genotype": (_STRING, "of the gates as they are, whatever it costs"),
            "normal_skip_share": (_FLOAT, "skip connections among the genotype's operations"),
            "reduction_skip_share": (_FLOAT, "the same of the reduction cell"),
            "normal_path_depth": (
                _FLOAT,
                "operations with weights on a path from an input to a node, a mean over all paths",
            ),
            "reduction_path_depth": (_FLOAT, "the same of the reduction cell"),
            "status": (_STRING, "in a search's last row: finished, stopped or failed"),
            "error": _ERROR,
        },
    ),
    "checks": _table(
        "an architecture that the self-check has trained briefly",
        {
            "architecture": (_STRING, "a candidate index per layer"),
            "score": (_FLOAT, "of the search"),
            "depth": (_INT, "layers that are not skipped"),
            "macs": _MACS,
            "params": _PARAMS,
            "naswot": (_FLOAT, "a score of the untrained network, to compare"),
            "val_accuracy": (_FLOAT, "after the brief training, in [0, 1]"),
            "seconds": (_FLOAT, "time of the training"),
            "status": (_STRING, "finished or failed"),
            "error": _ERROR,
            "latency_ms": _LATENCY,
        },
    ),
    "trials": _table(
        "an epoch of a retraining trial",
        {
            "trial": (_STRING, "Tune's name of the trial"),
            "architecture": (_STRING, "a candidate index per layer"),
            "epoch": (_INT, "epoch, from 1"),
            "train_loss": (_FLOAT, "what is minimised, in nats: cross-entropy and additions"),
            "val_loss": (_FLOAT, "cross-entropy in nats, of the averaged weights"),
            "val_accuracy": (_FLOAT, "likewise, in [0, 1]"),
            "seconds": (_FLOAT, "time of the epoch"),
            "learning_rate": (_FLOAT, "at the epoch's end"),
            "val_balanced_accuracy": (_FLOAT, "mean of the classes' recalls, in [0, 1]"),
        },
    ),
    "calibration": _table(
        "a weight of the calibrated search after an accuracy has come in",
        {
            "trial_number": (_INT, "accuracies so far"),
            "architecture": (_STRING, "whose accuracy came in"),
            "accuracy": (_FLOAT, "that accuracy, in [0, 1]"),
            "weight": (_FLOAT, "of that accuracy: 1 for a whole training, less on the way"),
            "feature": (_STRING, "what the weight is of"),
            "mean": (_FLOAT, "of the belief"),
            "standard_deviation": (_FLOAT, "of the belief"),
        },
    ),
    "outcomes": _table(
        "an architecture that was retrained",
        {
            "rank": (_INT, "by validation accuracy, from 1"),
            "architecture": (_STRING, "a candidate index per layer"),
            "score": (_FLOAT, "for which it was chosen"),
            "macs": _MACS,
            "params": _PARAMS,
            "val_accuracy": (_FLOAT, "in [0, 1]"),
            "test_accuracy": (_FLOAT, "in [0, 1], looked at once; null: not trained to its end"),
            "epochs": (_INT, "epochs trained"),
            "status": (_STRING, "finished, stopped (by the scheduler) or failed"),
            "error": _ERROR,
            "checkpoint": (_STRING, "its weights, in the run folder"),
            "latency_ms": _LATENCY,
            "on_front": (_BOOL, "not dominated in accuracy and costs; null: one objective"),
            "val_balanced_accuracy": (_FLOAT, "mean of the classes' recalls, in [0, 1]"),
            "test_balanced_accuracy": (_FLOAT, "the same of the test"),
            "test_images": (_INT, "images of the test, for the accuracy's interval"),
            "genotype": (_STRING, "of a network of cells, for people; null: layers in a chain"),
        },
    ),
}
"""Table name to schema, in the order in which a run fills them."""

COMPARISON = _table(
    "a run of a comparison of methods, in the comparison's folder",
    {
        "method": (_STRING, "name of the method"),
        "seed": (_INT, "of the run"),
        "space": (_STRING, "search space"),
        "data": (_STRING, "images"),
        "initialisation": (_STRING, "of the frozen weights"),
        "trainable": (_STRING, "what learned; null: nothing; gates: no supernet"),
        "sampling": (_STRING, "paths of a step"),
        "layer_indicator": (_STRING, "what it is"),
        "score": (_STRING, "by which the search ranked"),
        "ms_per_step": (_FLOAT, "median milliseconds of a pretraining step"),
        "ms_per_path": (_FLOAT, "the same of a path"),
        "pretrain_seconds": (_FLOAT, "of the pretraining"),
        "search_seconds": (_FLOAT, "of the search"),
        "tau": (_FLOAT, "Kendall's tau of score and accuracy"),
        "tau_source": (_STRING, "truth or check"),
        "tau_networks": (_INT, "over which tau is taken"),
        "best_val_accuracy": (_FLOAT, "in [0, 1]"),
        "best_test_accuracy": (_FLOAT, "of the best by validation, in [0, 1]"),
        "true_accuracy": (_FLOAT, "of the network that the score puts first, in [0, 1]"),
        "regret": (_FLOAT, "best true accuracy less that one, in [0, 1]"),
        "macs": _MACS,
        "params": _PARAMS,
        "architecture": (_STRING, "of the best"),
        "status": (_STRING, "how the run ended"),
        "error": _ERROR,
        "run": (_STRING, "its folder"),
    },
)

LATENCIES = _table(
    "a candidate of a layer in a table of latencies, a file of its own",
    {
        "layer": (_INT, "layer, from 0"),
        "candidate": (_INT, "index of the candidate; null: the fixed part, stem and head"),
        "operation": (_STRING, "name of the candidate"),
        "macs": _MACS,
        "latency_ms": (_FLOAT, "in a whole network, as fitted: these add up"),
        "isolated_ms": (_FLOAT, "by itself"),
    },
)

MEASURED_NETS = _table(
    "a whole network that was measured for a table of latencies, beside that table",
    {
        "architecture": (_STRING, "a candidate index per layer"),
        "held_out": (_BOOL, "kept from the fit, to tell its error"),
        "macs": _MACS,
        "measured_ms": (_FLOAT, "as measured"),
        "predicted_ms": (_FLOAT, "by the table"),
        "isolated_ms": (_FLOAT, "by the parts, each timed by itself"),
    },
)
