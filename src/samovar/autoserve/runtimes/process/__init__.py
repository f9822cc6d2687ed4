"""Endpoints as processes of this host, owned by the agent."""
