"""How fast, how dense and how lossless alias moves are served: ``python -m benchmarks.autoserve``."""
