"""Floor 3: the only place that imports ray: workers, searcher, trials."""
