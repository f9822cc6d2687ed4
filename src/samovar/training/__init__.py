"""Candidates, search, evaluation and the gate's arithmetic."""
