"""The Arrow schemas of what is no table of a run: comparisons, latencies, inner products."""

from raynas.storage.columns import BOOL, ERROR, FLOAT, INT, MACS, PARAMS, STRING, table_of

COMPARISON = table_of(
    "a run of a comparison of methods, in the comparison's folder",
    {
        "method": (STRING, "name of the method"),
        "seed": (INT, "of the run"),
        "space": (STRING, "search space"),
        "data": (STRING, "images"),
        "initialisation": (STRING, "of the frozen weights"),
        "trainable": (STRING, "what learned; null: nothing; gates: no supernet"),
        "trains_classifier": (BOOL, "whether the supernet's classifier learned, too"),
        "trained_numbers": (INT, "numbers of the supernet that learned; null: not recorded"),
        "sampling": (STRING, "paths of a step"),
        "layer_indicator": (STRING, "what it is"),
        "score": (STRING, "by which the search ranked"),
        "ms_per_step": (FLOAT, "median milliseconds of a pretraining step"),
        "ms_per_path": (FLOAT, "the same of a path"),
        "pretrain_seconds": (FLOAT, "of the pretraining"),
        "search_seconds": (FLOAT, "of the search"),
        "search_gpu_days": (FLOAT, "of pretraining, check and search; null: no GPU"),
        "search_hours": (FLOAT, "of the same, by the clock"),
        "tau": (FLOAT, "Kendall's tau of score and accuracy"),
        "tau_source": (STRING, "truth or check"),
        "tau_networks": (INT, "over which tau is taken"),
        "best_val_accuracy": (FLOAT, "in [0, 1]"),
        "best_test_accuracy": (FLOAT, "of the best by validation, in [0, 1]"),
        "true_accuracy": (FLOAT, "of the network that the score puts first, in [0, 1]"),
        "regret": (FLOAT, "best true accuracy less that one, in [0, 1]"),
        "macs": MACS,
        "params": PARAMS,
        "architecture": (STRING, "of the best"),
        "status": (STRING, "how the run ended"),
        "error": ERROR,
        "run": (STRING, "its folder"),
        "is_rival": (BOOL, "a network that a run has trained beside its winners; null: no"),
    },
)

LATENCIES = table_of(
    "a candidate of a layer in a table of latencies, a file of its own",
    {
        "layer": (INT, "layer, from 0"),
        "candidate": (INT, "index of the candidate; null: the fixed part, stem and head"),
        "operation": (STRING, "name of the candidate"),
        "macs": MACS,
        "latency_ms": (FLOAT, "in a whole network, as fitted: these add up"),
        "isolated_ms": (FLOAT, "by itself"),
    },
)

MEASURED_NETS = table_of(
    "a whole network that was measured for a table of latencies, beside that table",
    {
        "architecture": (STRING, "a candidate index per layer"),
        "held_out": (BOOL, "kept from the fit, to tell its error"),
        "macs": MACS,
        "measured_ms": (FLOAT, "as measured"),
        "predicted_ms": (FLOAT, "by the table"),
        "isolated_ms": (FLOAT, "by the parts, each timed by itself"),
    },
)

INNER_PRODUCTS_FILE = "inner_products.parquet"
"""Its name in the run folder."""

INNER_PRODUCTS = table_of(
    "a batch norm behind a convolution of a candidate, over pairs of validation images",
    {
        "layer": (INT, "layer, from 0"),
        "candidate": (INT, "index of the candidate"),
        "operation": (STRING, "name of the candidate"),
        "batch_norm": (INT, "number of the batch norm in the candidate, from 0"),
        "filters": (INT, "filters of the convolution before it"),
        "groups": (INT, "of channels that filters read apart; 1: each reads all"),
        "fan_in": (INT, "weights of a filter"),
        "gamma": (FLOAT, "root mean square of its scales"),
        "pairs": (INT, "pairs of images"),
        "slope": (FLOAT, "observed over expected inner products; 1: as expected"),
        "difference": (FLOAT, "root mean square of observed less expected"),
        "threshold": (FLOAT, "what one pair in twenty may exceed (Chebyshev)"),
        "share_within": (FLOAT, "share of pairs within their threshold, in [0, 1]"),
        "relative": (FLOAT, "root mean square of the difference over the largest possible"),
    },
)
