"""What a run says: queries over its tables, summary, statistics, styles of figures."""
