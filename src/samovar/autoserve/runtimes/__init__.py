"""Where endpoints run: as processes of this host, as containers, or on Kubernetes."""
