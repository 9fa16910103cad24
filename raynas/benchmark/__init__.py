"""Truth files, ranking, and comparison of methods."""
