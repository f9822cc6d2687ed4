"""What flows between the operators of an ONNX graph: its named values as the rules see them.

Everything that is computed is float32: numbers are rounded when they come in, and after every operation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.scoring.compiler.errors import NotLowered
from samovar.scoring.compiler.values import Dense, Frame
from samovar.scoring.onnxfile import Known
from samovar.scoring.ops import Gather, Select, Single

if TYPE_CHECKING:
    from samovar.contracts.spec import Scalar
    from samovar.scoring.compiler.values import Draft
    from samovar.scoring.onnxfile import Node
    from samovar.scoring.ops import AnyOp


@dataclass(frozen=True, slots=True)
class Numbers:
    """Rows of float32 numbers: a matrix (n, width), or (n) when ``flat``."""

    number: int
    width: int
    flat: bool = False


@dataclass(frozen=True, slots=True)
class Cells:
    """Columns of the input as they came: text, integers, or float64 numbers that are not rounded yet."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class Chosen:
    """One of the classes for each row: that of the greatest of some scores, or the second one where the score is above zero."""

    number: int
    rule: str
    classes: tuple[Scalar, ...]
    flat: bool = True


@dataclass(frozen=True, slots=True)
class Maps:
    """A mapping of classes to numbers for each row."""

    number: int
    classes: tuple[Scalar, ...]


Held = Numbers | Cells | Chosen | Maps | Known


class Flow:
    """The values of a graph under construction."""

    def __init__(self, draft: Draft, held: dict[str, Held]) -> None:
        self.draft = draft
        self.held = held

    def value(self, node: Node, place: int) -> Held:
        """Return an input of a node."""
        try:
            return self.held[node.inputs[place]]
        except (KeyError, IndexError):
            raise NotLowered(f"{node.kind} reads what no rule gives.") from None

    def numbers(self, node: Node, place: int = 0) -> Numbers:
        """Return an input of a node as rounded numbers."""
        value = self.value(node, place)
        if isinstance(value, Cells):
            return self.rounded(node.kind, value)
        if not isinstance(value, Numbers):
            raise NotLowered(f"{node.kind} computes with something else than rows of numbers.")
        return value

    def rounded(self, reader: str, cells: Cells) -> Numbers:
        """Return columns of floating-point numbers as a matrix."""
        if not set(cells.frame.kinds) <= {"float64", "float32"}:
            raise NotLowered(f"{reader} is of columns that are no floating-point numbers.")
        number = self.draft.add(Gather(cells.frame.numbers))
        if "float64" in cells.frame.kinds:
            number = self.draft.add(Single((number,)))
        return Numbers(number, cells.frame.width)

    def known(self, node: Node, place: int) -> np.ndarray:
        """Return an input that is a constant."""
        value = self.value(node, place)
        if not isinstance(value, Known):
            raise NotLowered(f"{node.kind} reads a computed value where the rule has a constant.")
        return value.array

    def give(self, node: Node, *values: Held) -> None:
        """Set a node's outputs."""
        self.held.update(zip(node.outputs, values, strict=False))

    def compute(self, op: AnyOp, width: int, *, flat: bool = False) -> Numbers:
        """Append an operation whose result is rounded."""
        return Numbers(self.draft.add(Single((self.draft.add(op),))), width, flat)

    def exact(self, op: AnyOp, width: int, *, flat: bool = False) -> Numbers:
        """Append an operation whose result is of float32 numbers as it is."""
        return Numbers(self.draft.add(op), width, flat)

    def select(self, value: Held, places: list[int]) -> Held:
        """Return some positions of rows."""
        if isinstance(value, Cells):
            return Cells(value.frame.take(places))
        if isinstance(value, Numbers):
            return Numbers(self.draft.add(Select((value.number,), tuple(places))), len(places))
        raise NotLowered("Columns are chosen out of something else than rows.")


def dense(numbers: Numbers) -> Dense:
    """Return numbers as other rules know them."""
    return Dense(numbers.number, numbers.width, single=True)


def setting(node: Node, name: str, default: Any) -> Any:
    """Return an attribute of a node."""
    return node.settings.get(name, default)


def per_position(values: Any, width: int, node: Node) -> np.ndarray:
    """Return one number for each position from a constant that may be one for all."""
    array = np.asarray(values, dtype=np.float64)
    if array.size not in (1, width) or any(size != 1 for size in array.shape[:-1]):
        raise NotLowered(f"{node.kind} has a constant that is no row.")
    return np.array(np.broadcast_to(array.ravel(), (width,)))
