"""Values as MessagePack can hold them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec

_LARGEST = 2**64


def unnumpy(value: Any) -> Any:
    """Turn numpy's scalars and arrays into Python's; msgspec asks for what it does not know."""
    if callable(tolist := getattr(value, "tolist", None)):
        return tolist()
    raise NotImplementedError


def encodable(value: Any) -> Any:
    """Return a value to write in place of one that cannot be: text for numbers beyond 64 bits, marks for halves of characters."""
    match value:
        case int() if not -_LARGEST // 2 <= value < _LARGEST:
            made: Any = str(value)
        case None | int() | float() | bytes() | dt.datetime() | msgspec.msgpack.Ext():
            made = value
        case str():
            made = value.encode("utf-8", "backslashreplace").decode()
        case list() | tuple():
            made = [encodable(item) for item in value]
        case dict():
            made = {str(encodable(name)): encodable(item) for name, item in value.items()}
        case _:
            made = encodable(value.tolist()) if hasattr(value, "tolist") else f"<{type(value).__name__}>"
    return made
