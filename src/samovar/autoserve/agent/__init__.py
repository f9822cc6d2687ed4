"""One per host: owns listening sockets, the forkserver and its workers; knows nothing of MLflow."""
