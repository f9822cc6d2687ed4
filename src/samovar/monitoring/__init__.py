"""Drift, comparisons and reports."""
