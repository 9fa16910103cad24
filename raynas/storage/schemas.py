"""The Arrow schemas of a run's tables: the contract with everyone who reads them.

Names carry units: ``seconds``, ``macs`` (multiply-adds, what papers call FLOPs), ``accuracy``
in [0, 1]. Columns may be added, never renamed.
"""

import pyarrow as pa

_STRING, _INT, _FLOAT = pa.string(), pa.int64(), pa.float64()
_TIME = pa.timestamp("us", tz="UTC")

SCHEMAS: dict[str, pa.Schema] = {
    # one row: the run
    "runs": pa.schema(
        {
            "run": _STRING,
            "space": _STRING,
            "settings": _STRING,
            "method": _STRING,
            "seed": _INT,
            "versions": _STRING,
            "git_commit": _STRING,
            "started": _TIME,
            "finished": _TIME,
            "nodes": _INT,
            "cpus": _FLOAT,
            "gpus": _FLOAT,
            "best_score": _FLOAT,
            "optimal_score": _FLOAT,  # that the search found, and that there is
            "search_seconds": _FLOAT,  # until the architectures to retrain were known
            "pretrained": _STRING,  # the run whose pretraining it took over; null: its own
            "warm_start": _STRING,  # earlier run from which it took what was the same
            # JSON: by stage seconds, gpu_hours and written_bytes, in the forecast low_seconds and
            # high_seconds as well; disk_bytes in all
            "forecast": _STRING,
            "spent": _STRING,
            # JSON: what was read from data and cluster and must not change on resume; classes in
            # the order of the labels, mean and std of training pixels in [0, 1] by channel,
            # class_counts
            "plan": _STRING,
        }
    ),
    # a pretraining step
    "steps": pa.schema(
        {
            "step": _INT,
            "epoch": _FLOAT,
            "loss": _FLOAT,
            "learning_rate": _FLOAT,
            "seconds": _FLOAT,
            "images_per_second": _FLOAT,
            "workers": _INT,
            "waiting_share": _FLOAT,  # of the workers' time, for the next batch
        }
    ),
    # a candidate after pretraining
    "ledger": pa.schema(
        {
            "layer": _INT,
            "candidate": _INT,
            "operation": _STRING,
            "updates": _INT,
        }
    ),
    # a candidate at initialisation: the run's and, to compare, Gaussian; with and without batch
    # norms. Null (older runs): the run's own, with them. Only those rows have a singular value.
    "isometry": pa.schema(
        {
            "layer": _INT,
            "candidate": _INT,
            "operation": _STRING,
            "phi": _FLOAT,
            "varphi": _FLOAT,
            "largest_singular_value": _FLOAT,
            "output_variance": _FLOAT,
            "initialisation": _STRING,
            "batch_norm": pa.bool_(),
        }
    ),
    # an indicator at a recorded step; candidate is null for a layer indicator
    "indicators": pa.schema(
        {
            "step": _INT,
            "layer": _INT,
            "candidate": _INT,
            "operation": _STRING,
            "kind": _STRING,
            "value": _FLOAT,
        }
    ),
    # an architecture scored by the search
    "architectures": pa.schema(
        {
            "order": _INT,
            "generation": _INT,
            "architecture": _STRING,
            "origin": _STRING,
            "parents": _STRING,
            "score": _FLOAT,
            "macs": _INT,
            "params": _INT,
            "latency_ms": _FLOAT,  # here and below by the run's latency table; null: none
        }
    ),
    # a gate of a differentiable search after an epoch: an operation on an edge of a kind of cell
    "gates": pa.schema(
        {
            "seed": _INT,  # of the search, of which a run may have several
            "epoch": _INT,
            "cell": _STRING,  # normal or reduction
            "source": _INT,
            "node": _INT,
            "operation": _STRING,  # from a state to a node (from 0)
            "alpha": _FLOAT,  # what was learnt
            "weight": _FLOAT,  # what the genotype is chosen by, a softmax of alpha
            "probability": _FLOAT,  # that the gate is open; null: the method has no gates
        }
    ),
    # an epoch of a differentiable search
    "search_epochs": pa.schema(
        {
            "seed": _INT,
            "epoch": _INT,
            "train_loss": _FLOAT,
            "val_loss": _FLOAT,
            "val_accuracy": _FLOAT,  # on the half that trains the gates, while training
            "penalty": _FLOAT,  # mean of what groups of gates cost less what the path earned
            "temperature": _FLOAT,
            "learning_rate": _FLOAT,
            "seconds": _FLOAT,
            "genotype": _STRING,  # of the gates as they are, whatever it costs
            # of that genotype's cells: skip connections among the chosen operations, and
            # operations with weights on a path from an input of the cell to a node, a mean over
            # all paths
            "normal_skip_share": _FLOAT,
            "reduction_skip_share": _FLOAT,
            "normal_path_depth": _FLOAT,
            "reduction_path_depth": _FLOAT,
            # in the last row of a search that has ended: finished, stopped (by the scheduler) or
            # failed, and why; one that failed before its first epoch has a row 0 without losses
            "status": _STRING,
            "error": _STRING,
        }
    ),
    # an architecture that the self-check has trained briefly
    "checks": pa.schema(
        {
            "architecture": _STRING,
            "score": _FLOAT,
            "depth": _INT,
            "macs": _INT,
            "params": _INT,
            "naswot": _FLOAT,
            "val_accuracy": _FLOAT,
            "seconds": _FLOAT,
            "status": _STRING,
            "error": _STRING,
            "latency_ms": _FLOAT,
        }
    ),
    # an epoch of a retraining trial
    "trials": pa.schema(
        {
            "trial": _STRING,
            "architecture": _STRING,
            "epoch": _INT,
            "train_loss": _FLOAT,
            "val_loss": _FLOAT,
            "val_accuracy": _FLOAT,
            "seconds": _FLOAT,
            "learning_rate": _FLOAT,
            "val_balanced_accuracy": _FLOAT,  # mean of the classes' recalls
        }
    ),
    # a weight of the calibrated search after an accuracy has come in
    "calibration": pa.schema(
        {
            "trial_number": _INT,  # accuracies so far
            "architecture": _STRING,
            "accuracy": _FLOAT,
            "weight": _FLOAT,  # of that accuracy: 1 for a whole training, less on the way
            "feature": _STRING,
            "mean": _FLOAT,
            "standard_deviation": _FLOAT,
        }
    ),
    # an architecture that was retrained
    "outcomes": pa.schema(
        {
            "rank": _INT,
            "architecture": _STRING,
            "score": _FLOAT,
            "macs": _INT,
            "params": _INT,
            "val_accuracy": _FLOAT,
            "test_accuracy": _FLOAT,
            "epochs": _INT,
            "status": _STRING,
            "error": _STRING,
            "checkpoint": _STRING,
            "latency_ms": _FLOAT,
            "on_front": pa.bool_(),  # of val_accuracy and the run's costs; null: one objective
            # means of the classes' recalls; and images of the test, for the accuracy's interval
            "val_balanced_accuracy": _FLOAT,
            "test_balanced_accuracy": _FLOAT,
            "test_images": _INT,
            "genotype": _STRING,  # of a network of cells, for people; null: layers in a chain
        }
    ),
}
"""Table name to schema, in the order in which a run fills them."""


COMPARISON = pa.schema(
    {
        "method": _STRING,
        "seed": _INT,
        "space": _STRING,
        "data": _STRING,
        "initialisation": _STRING,
        "trainable": _STRING,  # null: nothing was; gates: no supernet
        "sampling": _STRING,
        "layer_indicator": _STRING,
        "score": _STRING,
        "ms_per_step": _FLOAT,
        "ms_per_path": _FLOAT,  # medians
        "pretrain_seconds": _FLOAT,
        "search_seconds": _FLOAT,
        "tau": _FLOAT,
        "tau_source": _STRING,  # truth or check
        "tau_networks": _INT,  # over which tau is taken
        "best_val_accuracy": _FLOAT,
        "best_test_accuracy": _FLOAT,  # of the best by validation
        "true_accuracy": _FLOAT,
        "regret": _FLOAT,  # in [0, 1] as well
        "macs": _INT,
        "params": _INT,
        "architecture": _STRING,
        "status": _STRING,
        "error": _STRING,
        "run": _STRING,
    }
)
"""A run of a comparison of methods; the table ``comparison`` lies in the comparison's folder."""


LATENCIES = pa.schema(
    {
        "layer": _INT,
        "candidate": _INT,  # null: the fixed part, stem and head
        "operation": _STRING,
        "macs": _INT,
        "latency_ms": _FLOAT,  # in a whole network, as fitted: these add up
        "isolated_ms": _FLOAT,  # by itself
    }
)
"""A candidate of a layer in a table of latencies, a file of its own
(``raynas.costs.latency_table``)."""


MEASURED_NETS = pa.schema(
    {
        "architecture": _STRING,
        "held_out": pa.bool_(),  # or the table was fitted to it
        "macs": _INT,
        "measured_ms": _FLOAT,
        "predicted_ms": _FLOAT,
        "isolated_ms": _FLOAT,
    }
)
"""A whole network that was measured for a table of latencies; the file lies beside the table."""
