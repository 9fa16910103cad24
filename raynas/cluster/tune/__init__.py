"""Everything that is a Tune trial, a searcher or a callback of Tune."""
