"""Environments of their own for versions whose libraries are not this host's."""
