"""The protocols an endpoint speaks: bytes of a body in, a builtin answer out."""
