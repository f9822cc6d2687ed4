"""What an endpoint worker must be told. Plain data: a worker reads no settings and no environment."""

from __future__ import annotations

import msgspec


class EndpointConfig(msgspec.Struct, frozen=True):
    """One endpoint.

    Attributes:
        model: registered model, for metrics and answers.
        alias: the alias that is served.
        body_limit: largest request body, in bytes.
        drain_seconds: longest time a replaced worker may take to leave.
        keep_alive_seconds: how long an idle connection is kept. Longer than clients and proxies keep theirs (often 60 s), so that
            they close first: a server that closes first loses the request that is on its way.
    """

    model: str
    alias: str
    body_limit: int = 16 * 2**20
    drain_seconds: float = 10.0
    keep_alive_seconds: int = 75
