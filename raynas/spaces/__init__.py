"""Search spaces as values: chains and cells, architectures, genotypes."""
