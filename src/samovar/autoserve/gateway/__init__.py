"""The gateway: one address for all models, on Traefik. It reads its routes from a file, and needs nobody else to start."""
