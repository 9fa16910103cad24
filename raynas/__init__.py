"""raynas: fair one-shot neural architecture search for image classifiers, on Ray."""

from raynas.telemetry import switch_off

switch_off()  # in whatever imports raynas: scripts, Ray's workers, programs
