"""Results as JSON, as scripts print them with ``--json``."""

import json
import math
from datetime import datetime


def json_text(value: object) -> str:
    """Return a value as JSON text; numbers that are not finite, which JSON lacks, become null.

    Args:
        value: Of dictionaries, lists, tuples, texts, numbers and times (written as ISO 8601).
    """
    return json.dumps(_finite(value), indent=2, allow_nan=False)


def _finite(value: object) -> object:
    match value:
        case dict():
            return {key: _finite(item) for key, item in value.items()}
        case list() | tuple():
            return [_finite(item) for item in value]
        case datetime():
            return value.isoformat()
        case float():
            return value if math.isfinite(value) else None
    return value
