"""Mergeable sketches of rows: training, ingest, monitoring and distributed jobs count with the same bins."""
