"""The metadata of a safetensors file, which the library's loader leaves out.

Format: eight bytes with the length of a JSON header, the header, the tensors.
"""

import json


def read_metadata(content: bytes) -> dict[str, str]:
    """Return the text entries that were saved beside the tensors."""
    size = int.from_bytes(content[:8], "little")
    metadata: dict[str, str] = json.loads(content[8 : 8 + size]).get("__metadata__", {})
    return metadata
