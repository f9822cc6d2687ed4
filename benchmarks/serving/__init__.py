"""Side by side: what `samovar up` serves, `mlflow models serve`, and FastAPI with joblib. See docs/BENCHMARKS.md."""
