"""Registry aliases become running endpoints."""
