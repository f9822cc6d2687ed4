"""Mergeable sketches of rows: training, ingest, monitoring and distributed jobs count with the same bins."""

FILE_NAME = "reference_profile.json"
"""What a profile is called in a model's folder; here, because who only reads it needs none of the libraries that make one."""
