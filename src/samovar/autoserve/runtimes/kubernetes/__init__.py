"""Endpoints on Kubernetes: one Deployment and Service for each alias, rolled by Kubernetes itself."""
