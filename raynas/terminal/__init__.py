"""What scripts share: command line, progress, time left, tables of text, signals."""
