"""Libraries that would tell their makers about their use: silent unless a person wants them to."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from raynas import telemetry
from tests.builders import ROOT

IMPORT = """
import os, raynas, onnxruntime
from raynas.telemetry import _OFF
print(*(os.environ[name] for name in _OFF))
"""


@pytest.mark.skipif(not importlib.util.find_spec("onnxruntime"), reason="the extra onnx is missing")
def test_onnxruntime_leaves_nothing_in_the_home_directory_where_raynas_is_imported(
    tmp_path: Path,
) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in telemetry._OFF}
    done = subprocess.run(
        [sys.executable, "-c", IMPORT],
        cwd=ROOT,
        env=environment | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == list(telemetry._OFF.values())
    assert list(tmp_path.rglob("*onnxruntime*")) == []


def test_a_person_s_own_value_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in telemetry._OFF:
        monkeypatch.setenv(name, "mine")
    telemetry.switch_off()

    assert {os.environ[name] for name in telemetry._OFF} == {"mine"}
