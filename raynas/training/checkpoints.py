"""Where trainings keep what continuing needs, and what a safetensors file tells without tensors.

Format: eight bytes with the length of a JSON header, the header, the tensors.
"""

import json

from raynas.errors import UserError
from raynas.storage.run_store import RunStore

_LENGTH_BYTES = 8


def checkpoint_path(training: str) -> str:
    """Return where a training, by its name, keeps what continuing needs."""
    return f"checkpoints/{training}.safetensors"


def model_path(training: str) -> str:
    """Return where the weights of a finished training lie."""
    return f"models/{training}.safetensors"


def read_metadata(content: bytes) -> dict[str, str]:
    """Return the text entries that were saved beside the tensors, which the library leaves out."""
    size = int.from_bytes(content[:_LENGTH_BYTES], "little")
    header = json.loads(content[_LENGTH_BYTES : _LENGTH_BYTES + size])
    metadata: dict[str, str] = header.get("__metadata__", {})
    return metadata


def is_whole(store: RunStore, path: str) -> bool:
    """Return whether a safetensors file is there and as long as its header says."""
    try:
        first, size = store.head(path, _LENGTH_BYTES)
        start = _LENGTH_BYTES + int.from_bytes(first, "little")
        if start > size:
            return False
        header = json.loads(store.head(path, start)[0][_LENGTH_BYTES:])
        tensors = [value for name, value in header.items() if name != "__metadata__"]
        end = max((tensor["data_offsets"][1] for tensor in tensors), default=0)
    except (FileNotFoundError, ValueError, AttributeError, KeyError, TypeError):
        return False
    return bool(size == start + end)


def read_model(store: RunStore, path: str) -> bytes:
    """Return the weights of a finished trial.

    Raises:
        UserError: They are lost, or cut off.
    """
    if not is_whole(store, path):
        raise UserError(
            f"run folder {store.uri}: {path} is lost or damaged; the command that began the run "
            "makes it again"
        )
    return store.read_bytes(path)
