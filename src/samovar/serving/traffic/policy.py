"""What a worker is told of traffic: who gets which share of its rows, and who gets copies."""

from __future__ import annotations

import msgspec


class Target(msgspec.Struct, frozen=True):
    """The endpoint of another alias of the same model.

    Attributes:
        alias: the alias.
        path: file of the Unix socket that its workers listen at.
        percent: its share of the rows, 0 to 100; 0 for a shadow, which gets copies of all.
    """

    alias: str
    path: str
    percent: int = 0


class Policy(msgspec.Struct, frozen=True):
    """How an endpoint shares its traffic; nobody gets anything when both are empty.

    Attributes:
        split: who answers a share in its place.
        shadow: who gets a copy of every row.
    """

    split: tuple[Target, ...] = ()
    shadow: tuple[Target, ...] = ()


NOTHING = Policy()
