"""A lowered model as data: a list of small operations over typed columns.

Values are numbered: first the input columns, in order, then the result of each node. A node reads earlier values only, so that
running a program is one pass. There is no code in a program and no pickle: numbers, text and the names of operations that
`samovar.scoring.ops` implements, twice each: for a batch (numpy) and for one row (plain Python, which beats numpy there).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from samovar.contracts.spec import Scalar  # noqa: TC001 - msgspec reads the annotation at run time
from samovar.scoring.ops import AnyOp  # noqa: TC001 - msgspec reads the annotation at run time

ColumnKind = Literal["float64", "float32", "int64", "int32", "bool", "str"]
"""What scikit-learn would see in the column of a frame; nulls are NaN in numbers and None elsewhere."""

Rule = Literal["argmax", "sign", "value"]
"""How a node becomes labels: the class of the largest score; the second class where one score is above zero; the score itself."""


class Column(msgspec.Struct, frozen=True):
    """One input: its name in the signature (empty for the k-th column of a tensor) and its kind."""

    name: str
    kind: ColumnKind


class Output(msgspec.Struct, frozen=True):
    """One of several named outputs, which MLflow answers together.

    Attributes:
        name: the model's name of it.
        holds: ``label``: what is answered otherwise; ``shares``: the probabilities in a row; ``map``: the probabilities by class.
        flat: whether it has no second dimension, of one number a row.
    """

    name: str
    holds: Literal["label", "shares", "map"]
    flat: bool = True


class Answer(msgspec.Struct, frozen=True):
    """How values become answers.

    Attributes:
        label: the value (n, k) that the labels are read from.
        rule: how.
        classes: class labels by position; empty for a regressor.
        probabilities: the value (n, classes), None for a model that gives none.
        outputs: what ``predict`` gives by name; empty for a model that gives just labels or just probabilities.
    """

    label: int
    rule: Rule
    classes: tuple[Scalar, ...] = ()
    probabilities: int | None = None
    outputs: tuple[Output, ...] = ()


class Program(msgspec.Struct, frozen=True):
    """A lowered model.

    Attributes:
        columns: the inputs.
        nodes: the operations, in order.
        answer: what comes out.
        precision: ``float32`` when the model itself computes in single precision, which widens what counts as equal.
    """

    columns: tuple[Column, ...]
    nodes: tuple[AnyOp, ...]
    answer: Answer
    precision: Literal["float64", "float32"] = "float64"
