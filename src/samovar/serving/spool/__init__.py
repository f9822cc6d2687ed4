"""The prediction log on the endpoint's own disk: every answered request, written before its answer leaves.

`writer` writes it, `reader` reads it; `records` says what is in a file, `folder` what is in the folder of an endpoint, `privacy`
what of a request is kept.
"""
