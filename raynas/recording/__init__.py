"""What is written of a run: rows of tables, outcomes, logs, warm start, repair."""
