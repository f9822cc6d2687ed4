"""What an endpoint worker must be told. Plain data: a worker reads no settings and no environment."""

from __future__ import annotations

from typing import Literal

import msgspec


class EndpointConfig(msgspec.Struct, frozen=True):
    """One endpoint.

    Attributes:
        model: registered model, for metrics and answers.
        alias: the alias that is served.
        body_limit: largest request body, in bytes; it is kept while reading (413).
        bodies_limit: bytes of all bodies together (503): sixteen of the largest, so that many clients cannot fill the memory that
            one may not.
        drain_seconds: longest time a replaced worker may take to leave. Above ``keep_alive_seconds``: a swap then closes no idle
            connection that would not have been closed anyhow.
        keep_alive_seconds: how long an idle connection is kept. Longer than clients and proxies keep theirs (often 60 s), so that
            they close first: a server that closes first loses the request that is on its way.
        header_limit: bytes of a request's line and headers together (431). Tokens and cookies of proxies fit four times over.
        header_count: number of headers (431), as many as other servers take.
        header_seconds: time for the headers to arrive, from their first byte (408). No honest client needs a second.
        body_seconds: time for the body to arrive, and for an answer to be taken (408): 16 MiB at 2 Mbit/s.
        max_connections: connections at once; one more is told 503. Below the 1,024 descriptors that many systems give a process.
        max_rows: rows of one request (413): what a body of ``body_limit`` holds when its rows are of ordinary size.
        batch_rows: rows of one call to the model when requests are joined; 1 keeps every request by itself. Enough to spread the
            fixed cost of a call (milliseconds with pandas) over, and few enough that a joined call takes little longer than one.
        inline_rows: up to so many rows a compiled model is asked on the event loop itself (under a millisecond); more go to the
            model's thread, so that probes are answered meanwhile.
        queue_jobs: requests that may wait for the model's thread (429). Fewer than ``max_connections``, or it would never be full.
        deadline_seconds: longest time between a request's body and its answer (504). Half of what clients usually wait.
        stuck_seconds: longest time of one call to the model; then the endpoint says that it is ill (503 on its health routes) and
            gives no sign of life, so that it is replaced. Twice ``deadline_seconds``: whoever asked has long been told 504.
        keys: hashes of the API keys, made by `samovar.serving.keys.hashed`; empty asks nobody for a key.
        exempt: paths that need no key. Add ``/metrics`` where Prometheus has none.
        open_to_all: serve without keys beyond the loopback address too.
        spool_dir: folder of this endpoint's prediction log, shared by its workers; its parent holds the key of hashed fields.
            Empty: nothing is logged.
        spool_segment_bytes: size at which a file of the log is closed, so that it can be shipped.
        spool_seal_seconds: age at which it is closed although it is small.
        spool_fsync_seconds: how often the log is forced to the disk; 0 leaves that to the kernel.
        spool_limit_bytes: what may wait to be shipped, all workers together.
        spool_limit_seconds: how long it may wait; then it is deleted and counted as lost.
        spool_on_full: ``answer`` without logging, and count; or ``refuse`` with 503.
        metrics_dir: folder in which the endpoint's workers add up their metrics. Empty: this process counts for itself.
        share_seconds: longest time that another version may take for its share of a split before the champion answers in its place:
            what a client hardly notices, and a hundred times what a loaded model of ours takes.
    """

    model: str
    alias: str
    body_limit: int = 16 * 2**20
    bodies_limit: int = 16 * 16 * 2**20
    drain_seconds: float = 80.0
    keep_alive_seconds: int = 75
    header_limit: int = 32 * 2**10
    header_count: int = 100
    header_seconds: float = 10.0
    body_seconds: float = 60.0
    max_connections: int = 1000
    max_rows: int = 100_000
    batch_rows: int = 1024
    inline_rows: int = 256
    queue_jobs: int = 512
    deadline_seconds: float = 30.0
    stuck_seconds: float = 60.0
    keys: tuple[str, ...] = ()
    exempt: tuple[str, ...] = ("/ping", "/health", "/v2/health/live", "/v2/health/ready")
    open_to_all: bool = False
    spool_dir: str = ""
    spool_segment_bytes: int = 4 * 2**20
    spool_seal_seconds: float = 5.0
    spool_fsync_seconds: float = 1.0
    spool_limit_bytes: int = 2**30
    spool_limit_seconds: float = 7 * 86400.0
    spool_on_full: Literal["answer", "refuse"] = "answer"
    metrics_dir: str = ""
    share_seconds: float = 0.5
