"""The numbers of a run: fields, ranges, methods, and what fits what."""
