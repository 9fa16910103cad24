"""What architectures cost: multiply-adds, parameters, latency tables."""
