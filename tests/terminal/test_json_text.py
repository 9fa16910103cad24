"""What ``--json`` prints is JSON, whatever was measured."""

import json
from datetime import UTC, datetime

import numpy as np

from raynas.terminal.json_text import json_text


def test_numbers_that_are_not_finite_become_null_at_any_depth() -> None:
    value = {"tau": float("nan"), "rows": [{"loss": float("inf")}, (1, -np.inf, 0.5)]}

    assert json.loads(json_text(value)) == {"tau": None, "rows": [{"loss": None}, [1, None, 0.5]]}


def test_times_are_written_as_iso_8601_and_the_rest_stays() -> None:
    value = {"started": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "name": "a", "is_whole": True}

    assert json.loads(json_text(value)) == value | {"started": "2026-01-02T03:04:05+00:00"}
