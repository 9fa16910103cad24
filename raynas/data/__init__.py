"""Images: sources, index, decoding, splits, batches."""
