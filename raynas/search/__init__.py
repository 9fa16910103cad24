"""Floor 1: the search, in numpy and scipy only: sampling, indicators, evolution, limits."""
