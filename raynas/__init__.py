"""raynas: fair one-shot neural architecture search for image classifiers, on Ray."""

from raynas.telemetry import switch_off

__version__ = "0.2.0"
"""Recorded in ``runs.versions``, in every table's schema and in every export."""

switch_off()  # in whatever imports raynas: scripts, Ray's workers, programs
