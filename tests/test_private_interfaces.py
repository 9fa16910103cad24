"""Where names are used that other projects keep for themselves."""

import re

import pytest

from tests.builders import ROOT

# names that begin with an underscore, and those that are behind documented ones
PRIVATE = re.compile(
    r"(?<![\w.])(?:from |import )?(?:ray|torch|torchvision|pyarrow|rich|tyro|mlflow|onnx\w*|wandb)"
    r"(?:\.\w+)*(?:\._[a-z]\w*|\.ops\.|\.native_\w+)|\btemporary_state\b|\b_temp_dir="
)
MODULES = {"raynas/cluster/ray_internals.py", "raynas/nets/torch_internals.py"}


def test_what_others_keep_for_themselves_is_used_in_the_modules_for_it_alone() -> None:
    files = [
        file for name in ("raynas", "launch", "analysis") for file in (ROOT / name).rglob("*.py")
    ]
    users = {
        str(file.relative_to(ROOT))
        for file in files
        if PRIVATE.search(file.read_text(encoding="utf-8"))
    }

    assert users == MODULES


@pytest.mark.parametrize(
    "line",
    [
        "from ray._private import worker",
        "import ray._private.worker",
        "y = torch.ops.aten.relu(x)",
        "torch._C._get_tracing_state()",
        "torch.native_batch_norm(z)",
        "trial.temporary_state",
    ],
)
def test_a_name_that_is_private_is_recognised(line: str) -> None:
    assert PRIVATE.search(line)
