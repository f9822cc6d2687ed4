"""Watching a model: drift against its reference profile, rivals side by side, reports for people."""
