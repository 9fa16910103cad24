"""Differentiable search: gates, penalties, mixed network, bilevel loop, genotype rules."""
