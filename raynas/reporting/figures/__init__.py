"""Figures of a run: each is drawn here once, for ``analysis/`` and for the page of the report.

A function draws on axes that it is given and sets neither title nor legend: who composes does.
"""
