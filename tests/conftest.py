"""What every test shares: one thread for torch, and Hypothesis without deadlines."""

import os

from hypothesis import HealthCheck, settings

# Threads that spin for each other on a busy machine cost more than these small sums.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile(
    "raynas", deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("raynas")
