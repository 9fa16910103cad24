"""Floor 2: loops on one device: data, pretraining, retraining; no ray."""
