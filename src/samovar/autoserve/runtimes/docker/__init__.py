"""Endpoints as containers of one Docker Engine."""
