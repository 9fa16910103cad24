"""An ONNX file as a network that computes logits."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxNetwork:
    """An ONNX file, ready to compute logits.

    Attributes:
        side: Height and width of its images in pixels; None: the file leaves them open.
        channels: Of its images; None likewise.
    """

    def __init__(self, content: bytes, device: str = "cpu", threads: int = 1) -> None:
        """Load it; no code of the file is run but its graph of operations.

        Args:
            content: Of the file; its first input are images and its first output logits.
            device: cpu or cuda, where onnxruntime has that; else it computes on the CPU.
            threads: Of the CPU.
        """
        import onnxruntime  # noqa: PLC0415 - an extra

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads  # threads that spin would starve others
        options.log_severity_level = 3
        wanted = dict.fromkeys((_PROVIDERS[device], _PROVIDERS["cpu"]))
        there = set(onnxruntime.get_available_providers())
        providers = [name for name in wanted if name in there]
        self._session = onnxruntime.InferenceSession(content, options, providers=providers)
        (images, *_), (logits, *_) = self._session.get_inputs(), self._session.get_outputs()
        self._names = images.name, logits.name
        self.channels, self.side = _number(images.shape, 1), _number(images.shape, 2)

    def __call__(self, images: Array) -> Array:
        """Return logits, N x classes, of images, N x C x H x W."""
        images_name, logits_name = self._names
        (logits,) = self._session.run([logits_name], {images_name: images})
        found: Array = logits
        return found


def _number(shape: list[Any], place: int) -> int | None:
    """Return a dimension of a shape, in which open ones have names."""
    size = shape[place] if place < len(shape) else None
    return size if isinstance(size, int) else None
