"""Mergeable sketches and reference profiles."""
