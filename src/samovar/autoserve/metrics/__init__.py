"""What the controller counts of itself, for Prometheus."""
