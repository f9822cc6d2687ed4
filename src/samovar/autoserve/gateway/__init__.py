"""The gateway: one address for all models, on Traefik. It reads its routes from a file and needs nothing else to start or to run."""
