"""Trained weights that a run begins from: where they come from, and which network takes them."""
