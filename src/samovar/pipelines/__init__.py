"""The loop's steps as plain functions."""
