"""Open Inference Protocol v2 over HTTP, with Triton's binary tensor data extension."""
