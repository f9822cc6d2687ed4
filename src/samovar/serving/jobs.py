"""A request between decoding and scoring: the seam between the protocols, the batcher and the prediction spool.

A protocol is a `Handler` behind a `Route`. The endpoint reads and limits bodies, asks the handler, scores, logs and answers::

    body --quick--> Row                                          one plain row of an inline engine: all at once
    body --together--> rows of a turn --> Rows                       the same, where rows are faster scored together
    body --decode--> Job --batcher--> Answers --job.write--> body    everything else
    exception --error--> Response                                what went wrong, in the words of the protocol
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from samovar.scoring.engine import Call, Engine
    from samovar.serving.traffic.frames import How
    from samovar.serving.wire import Response

Row = tuple[bytes, "Sequence[Any]", Any, Any, "Sequence[float] | None"]
"""One row, scored: the body of the answer, the row's values in the signature's order (null is None), the contract's key (None when
there is none), the label, the probabilities. A plain tuple, because it is made once a request on the hot path."""

Together = tuple["Callable[[bytes], Any]", "Callable[[Sequence[Any]], list[Row]]"]

Stages = tuple["Callable[[bytes], Sequence[Any]]", int, "Callable[[Sequence[Any]], Row]"]


@dataclass(slots=True)
class Job:
    """A request whose every row is known to be good.

    Attributes:
        columns: n values for each column of the model's signature, in its order; null is None. Empty when ``call`` is set.
        rows: n.
        run: asks the engine for these columns; jobs with the same ``run`` and the same ``params`` may be scored in one call, their
            columns joined, and each gets back its own n answers.
        write: turns n answers into the body, or into a response whose headers speak of it.
        call: a request that is no table of plain columns; it is scored by itself.
        params: inference params.
        keys: n values of the contract's key, None when there is none: the prediction log names rows by it.
        places: where the rows stand in their request; None when they are all of it.
    """

    columns: Sequence[Sequence[Any]]
    rows: int
    run: Callable[[Engine, Sequence[Sequence[Any]], Mapping[str, Any]], Answers]
    write: Callable[[Answers], bytes | Response]
    call: Call | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    keys: Sequence[Any] | None = None
    places: Sequence[int] | None = None


class Answers(Protocol):
    """The answers to n rows, in order; what jobs scored together are cut out of."""

    def __len__(self) -> int:
        """Return n."""
        ...

    def cut(self, start: int, stop: int) -> Answers:
        """Return the answers to some of the rows."""
        ...

    def logged(self, index: int) -> tuple[Any, Sequence[float] | None]:
        """Return what the prediction log keeps of row ``index``: the label and the probabilities, if any."""
        ...


class Handler(Protocol):
    """One protocol on one route.

    Attributes:
        accepted: media types of bodies, in lower case; others are answered with 415 before the handler is asked.
        quick: scores one plain row of an ``inline`` engine at once; gives None, having judged nothing, when the body is something
            else (then ``decode`` is asked). None when the engine or the protocol has no such way. Raises as ``decode``, and
            ModelError. Called on the event loop: it takes microseconds.
        stages: ``quick`` in two steps, where its rows have a key: reads a row, the key's place in it, answers the row.
        together: ``quick`` in two steps, where rows are faster scored together: reads a row, or gives None as ``quick`` does;
            answers rows that were read, raising when one of them cannot be answered. None elsewhere.
        how: what its jobs ask of an engine, in the words that another version's endpoint understands.
    """

    accepted: tuple[str, ...]
    how: How
    quick: Callable[[bytes], Row | None] | None
    stages: Stages | None
    together: Together | None

    def decode(self, body: bytes, media: str, headers: Mapping[bytes, bytes]) -> Job:
        """Read and validate one body, all of its rows. ``headers`` have lower-case names; ``media`` is one of ``accepted``.

        A large body is decoded in a thread of its own, a small one on the event loop.

        Raises:
            RequestError: the body or a row is wrong.
            NotFound: the model cannot be asked this way.
        """
        ...

    def error(self, error: Exception) -> Response:
        """Return the answer to an error, from `samovar.serving.errors.answer` or in the protocol's own shape."""
        ...


@dataclass(frozen=True, slots=True)
class Route:
    """A path that asks the model; `samovar.serving.routes` lists an endpoint's.

    Attributes:
        path: exact path, ASCII, without percent signs.
        name: what metrics and the prediction log call it: several paths of one protocol may share a name.
        handler: answers it.
    """

    path: str
    name: str
    handler: Handler
