"""MLflow, and only MLflow."""
