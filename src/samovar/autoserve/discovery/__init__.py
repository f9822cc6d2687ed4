"""What runs, as Prometheus discovers it over HTTP."""
