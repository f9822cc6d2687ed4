"""What a version was lowered to, what that replaced, and what it gains: plain data from the builder to people and machines."""

from __future__ import annotations

import msgspec


class Node(msgspec.Struct, frozen=True):
    """One operation: the number of its value, its name, the values it reads and the bytes of its tables."""

    number: int
    operation: str
    inputs: tuple[int, ...]
    size: int


class Explanation(msgspec.Struct, frozen=True):
    """One version.

    Attributes:
        engine: who answers.
        notes: why, in one sentence.
        columns: the inputs, as ``name: kind``.
        steps: the native model, one line a step, indented by depth.
        nodes: the operations; empty when the model was not lowered.
        native_row_us: microseconds of one row with the native model, as a batch of one.
        row_us: microseconds of one row with the program; None when there is none.
        native_many_us: microseconds a row in a batch of 1,000.
        many_us: the same with the program.
        ties: compared rows whose labels differ because the model is undecided.
    """

    engine: str
    notes: str
    columns: tuple[str, ...]
    steps: tuple[str, ...]
    nodes: tuple[Node, ...] = ()
    native_row_us: float | None = None
    row_us: float | None = None
    native_many_us: float | None = None
    many_us: float | None = None
    ties: int = 0
