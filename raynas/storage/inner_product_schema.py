"""The schema of inner products that were measured on a run's supernet, a file in its folder."""

import pyarrow as pa

from raynas.storage.schemas import table_of

FILE = "inner_products.parquet"
"""Its name in the run folder."""

INNER_PRODUCTS = table_of(
    "a batch norm behind a convolution of a candidate, over pairs of validation images",
    {
        "layer": (pa.int64(), "layer, from 0"),
        "candidate": (pa.int64(), "index of the candidate"),
        "operation": (pa.string(), "name of the candidate"),
        "batch_norm": (pa.int64(), "number of the batch norm in the candidate, from 0"),
        "filters": (pa.int64(), "filters of the convolution before it"),
        "groups": (pa.int64(), "of channels that filters read apart; 1: each reads all"),
        "fan_in": (pa.int64(), "weights of a filter"),
        "gamma": (pa.float64(), "root mean square of its scales"),
        "pairs": (pa.int64(), "pairs of images"),
        "slope": (pa.float64(), "observed over expected inner products; 1: as expected"),
        "difference": (pa.float64(), "root mean square of observed less expected"),
        "threshold": (pa.float64(), "what one pair in twenty may exceed (Chebyshev)"),
        "share_within": (pa.float64(), "share of pairs within their threshold, in [0, 1]"),
        "relative": (pa.float64(), "root mean square of the difference over the largest possible"),
    },
)
