"""What a file of the prediction log holds: a header, then one group for each turn of the event loop.

::

    file   = MAGIC frame(Header) frame(Group) frame(Group) ...
    frame  = length of the payload (4 bytes) | payload (MessagePack) | CRC-32 of both (4 bytes)      little endian

A frame is whole or it is nothing: where a process or a host died in the middle of one, the file ends for its readers.
"""

from __future__ import annotations

import struct
import zlib
from array import array
from math import isnan
from typing import Any

import msgspec

from samovar.contracts.spec import LogPolicy, Scalar  # noqa: TC001 - msgspec reads the annotations at run time

MAGIC = b"smvspool"
FORMAT = 2
"""Raised when one Samovar cannot read what another wrote; a reader leaves files of other formats alone."""
FORMATS = (1, 2)
"""What is read: 1 had no numbers as they are in memory."""

LENGTH = struct.Struct("<I")
FRAME = 2 * LENGTH.size
"""Bytes of a frame beside its payload."""


class LoggedField(msgspec.Struct, frozen=True, array_like=True):
    """One field of a row: ``keep`` stores its value, ``hash`` 16 bytes of a keyed hash of it, ``drop`` nothing."""

    name: str
    log: LogPolicy


class Header(msgspec.Struct, frozen=True):
    """Whose answers a file holds.

    Attributes:
        format: see ``FORMAT``.
        segment: name of the file, unique among all.
        model: registered model.
        alias: the alias that was asked.
        version: the version that answered.
        label: what answers call it.
        project: the project that trained it; empty for a model logged elsewhere.
        role: ``champion``; ``challenger`` when another version answered a share; ``shadow`` when nobody acts on the answers.
        schema: digest of the contract.
        key: the contract's key, None when there is none.
        fields: the values of a row, in their order; those of policy ``drop`` are not stored.
        classes: class labels in the order of the probabilities.
    """

    format: int
    segment: str
    model: str
    alias: str
    version: int
    label: str
    project: str
    role: str
    schema: str
    key: LoggedField | None
    fields: tuple[LoggedField, ...]
    classes: tuple[Scalar, ...] = ()


class Single(msgspec.Struct, array_like=True):
    """A request of one row: its values without those that are dropped; None when it was no row of plain columns."""

    request_id: bytes
    route: str
    key: Any
    values: Any
    label: Any
    probabilities: Any


class Many(msgspec.Struct, array_like=True):
    """A request of n rows, as columns.

    Attributes:
        request_id: the request.
        route: name of its route.
        rows: n.
        keys: n values; None when there is no key or it is not logged.
        columns: n values of each field that is not dropped; None when the request was no table of plain columns.
        labels: n answers.
        probabilities: n lists of probabilities, None when the model gives none.
        places: where the rows stand in their request; None when they are all of it.

    Numbers that were an array in the endpoint are written as one, see `packed`.
    """

    request_id: bytes
    route: str
    rows: int
    keys: list[Any] | None
    columns: list[Any] | None
    labels: Any
    probabilities: Any
    places: list[int] | None = None


class Group(msgspec.Struct, array_like=True):
    """What one turn of the loop answered, at ``at`` (UNIX time in microseconds)."""

    at: int
    singles: list[Single]
    many: list[Many]


_FLOATS = 1  # MessagePack's number for what `packed` makes


def packed(array: Any) -> msgspec.msgpack.Ext:
    """Write a C-contiguous float64 array of one or two dimensions: the width (4 bytes, 0 for one dimension), and its memory."""
    return msgspec.msgpack.Ext(_FLOATS, b"".join((LENGTH.pack(array.shape[1] if array.ndim == 2 else 0), _bytes(array))))


def _bytes(array: Any) -> Any:
    return array.data if array.flags.c_contiguous else array.tobytes()


def unpacked(values: Any) -> list[Any]:
    """Return a list of numbers, or of rows of numbers; NaN, which stands for null, becomes None. Lists come back as they are."""
    if not isinstance(values, msgspec.msgpack.Ext):
        return values  # type: ignore[no-any-return]
    data = memoryview(values.data)
    (width,) = LENGTH.unpack_from(data)
    numbers: list[Any] = array("d", bytes(data[LENGTH.size :])).tolist()
    if isnan(sum(numbers)):  # or there are infinities of both signs
        numbers = [None if number != number else number for number in numbers]  # noqa: PLR0124
    return [numbers[start : start + width] for start in range(0, len(numbers), width)] if width else numbers


def seal(buffer: bytearray) -> None:
    """Make a frame of a buffer that holds room for the length, and the payload."""
    LENGTH.pack_into(buffer, 0, len(buffer) - LENGTH.size)
    buffer += LENGTH.pack(zlib.crc32(buffer))


def frame(payload: bytes) -> bytes:
    """Return the frame of a payload."""
    buffer = bytearray(LENGTH.size) + payload
    seal(buffer)
    return bytes(buffer)
