"""One endpoint worker: bytes in, prediction out."""
