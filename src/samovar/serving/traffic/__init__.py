"""Traffic shared between the endpoints of one model: a split that others answer, and copies for shadows.

Each endpoint listens on a Unix socket beside its TCP one. The champion passes validated rows there, as columns, and answers
them itself whenever nobody else does: no client ever fails because of a challenger or a shadow.
"""
