"""Networks to take away: module source, ONNX, model card."""
