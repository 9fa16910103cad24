"""Path-parallel pretraining: workers, their handles, transports, messages, timeouts."""
