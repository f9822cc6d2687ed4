"""What workers of one model's endpoints say to each other: MessagePack behind its length, over a Unix socket.

::

    champion  Opening ->           <- Welcome | Unfit          once a connection
              Ask (id) ->          <- Told (id) | Failed (id)  a share of a split; any number at once
              Copies ->                                        for a shadow; never answered
                                   <- Leaving                  use another connection; what comes is still answered
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from samovar.contracts.spec import Scalar  # noqa: TC001 - msgspec reads the annotations at run time
from samovar.serving.spool.plain import unnumpy

if TYPE_CHECKING:
    from collections.abc import Callable

FORMAT = 1
"""Raised when one Samovar cannot talk to another; they are Unfit for each other then."""

LIMIT = 512 * 2**20
"""Bytes of one message; a body of ours is far smaller, and what is larger is no message."""

How = Literal["decided", "columns", "predict"]
"""What an engine is asked: ``columns`` for labels and probabilities (``decided``: and the version's threshold decides), ``predict``
for what the model's pyfunc gives."""

_HEAD = struct.Struct("<I")


class Opening(msgspec.Struct, tag="opening", array_like=True):
    """Who asks: the columns (name and MLflow's type) and classes of its rows; see ``FORMAT``."""

    format: int
    model: str
    alias: str
    version: int
    columns: list[tuple[str, str]]
    classes: tuple[Scalar, ...]


class Welcome(msgspec.Struct, tag="welcome", array_like=True):
    """Who answers."""

    alias: str
    version: int
    label: str
    project: str
    classes: tuple[Scalar, ...]
    positive: Scalar | None
    threshold: float | None


class Unfit(msgspec.Struct, tag="unfit", array_like=True):
    """The rows cannot be passed to this version; ``reason`` says why, in one sentence."""

    reason: str


class Ask(msgspec.Struct, tag="ask", array_like=True):
    """Score rows."""

    id: int
    how: How
    columns: list[list[Any]]
    params: dict[str, Any]


class Told(msgspec.Struct, tag="told", array_like=True):
    """n labels (or what ``predict`` gave), and n lists of probabilities if there are any."""

    id: int
    labels: list[Any]
    shares: list[list[float]] | None


class Failed(msgspec.Struct, tag="failed", array_like=True):
    """There is no answer; ``reason`` is one of the metric's."""

    id: int
    reason: str


class Leaving(msgspec.Struct, tag="leaving", array_like=True):
    """This worker leaves."""


class Single(msgspec.Struct, array_like=True):
    """A request of one row, and what it was answered with."""

    request_id: bytes
    route: str
    how: How
    key: Any
    values: Any
    label: Any
    shares: Any


class Many(msgspec.Struct, array_like=True):
    """A request of n rows as columns, and what they were answered with: ``labels`` is None where somebody else answered."""

    request_id: bytes
    route: str
    how: How
    rows: int
    keys: Any
    columns: list[list[Any]]
    params: dict[str, Any]
    labels: list[Any] | None
    shares: list[Any] | None
    places: list[int] | None


class Copies(msgspec.Struct, tag="copies", array_like=True):
    """Rows that were answered."""

    singles: list[Single]
    many: list[Many]


Message = Opening | Welcome | Unfit | Ask | Told | Failed | Leaving | Copies

_encoder = msgspec.msgpack.Encoder(enc_hook=unnumpy)
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytearray:
    """Write one message with its length.

    Raises:
        ValueError, TypeError, OverflowError, NotImplementedError: a value is one that MessagePack does not hold.
    """
    buffer = bytearray(_HEAD.size)
    _encoder.encode_into(message, buffer, _HEAD.size)
    _HEAD.pack_into(buffer, 0, len(buffer) - _HEAD.size)
    return buffer


UNENCODABLE = (ValueError, TypeError, OverflowError, NotImplementedError)


class Reader:
    """Cuts a stream into messages.

    Args:
        take: called with each.
    """

    def __init__(self, take: Callable[[Message], None]) -> None:
        self._take = take
        self._held = bytearray()

    def feed(self, data: bytes) -> None:
        """Take in what came.

        Raises:
            ValueError: it is none of our messages.
        """
        held = self._held
        held += data
        start = 0
        while len(held) - start >= _HEAD.size:
            (length,) = _HEAD.unpack_from(held, start)
            if length > LIMIT:
                raise ValueError("a message is too long")
            stop = start + _HEAD.size + length
            if len(held) < stop:
                break
            with memoryview(held) as view:
                message = _decoder.decode(view[start + _HEAD.size : stop])
            start = stop
            self._take(message)
        del held[:start]
