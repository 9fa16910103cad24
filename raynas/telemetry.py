"""What libraries tell their makers about their use: nothing, unless a person wants it."""

import os

_OFF = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "ORT_DISABLE_TELEMETRY": "1",  # onnxruntime also writes to the home directory
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "WANDB_ERROR_REPORTING": "false",
}


def switch_off() -> None:
    """Switch it off in this process and those that it starts; a person's own values win.

    The libraries look when they are imported or started, which is later.
    """
    for name, value in _OFF.items():
        os.environ.setdefault(name, value)
