"""The report of a run as one HTML page: what it says, its figures, and its template."""
