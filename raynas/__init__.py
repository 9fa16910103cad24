"""raynas: fair one-shot neural architecture search for image classifiers, on Ray."""
