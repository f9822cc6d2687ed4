"""Rows at rest: the app database and the lake."""
