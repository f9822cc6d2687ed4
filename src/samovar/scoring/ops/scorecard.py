"""A linear model over raw columns: scaled numbers times weights, plus what each category adds.

It stands for a chain of imputers, scalers and encoders side by side with a linear map at its end, and computes numbers in that
chain's order, so that it differs from it by the order of one sum only.
"""

from __future__ import annotations

from itertools import repeat
from math import inf, isfinite, nan
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from samovar.contracts.spec import Scalar  # noqa: TC001 - msgspec reads the annotation at run time
from samovar.scoring.ops.base import Array, Kernel, Op
from samovar.scoring.ops.checks import not_finite
from samovar.scoring.ops.encode import cells, refusal

if TYPE_CHECKING:
    from collections.abc import Callable

_UNROLLED = 2000  # multiplications that are worth writing out; more are faster in numpy
_NARROW = 8  # outputs, likewise


class Slope(msgspec.Struct, frozen=True):
    """A column of numbers: ``z = ((x - shift) / scale) * factor + offset``, of which at most one half does anything.

    Attributes:
        input: which of the operation's inputs.
        weights: one for each output.
        missing: z of null and NaN; None when the model takes none.
        sign: what each output gains where the value is missing.
        name: the column's name, for the error.
    """

    input: int
    weights: tuple[float, ...]
    shift: float = 0.0
    scale: float = 1.0
    factor: float = 1.0
    offset: float = 0.0
    missing: float | None = None
    sign: tuple[float, ...] = ()
    name: str = ""

    def of(self, value: Any) -> float:
        """Return z; raises RequestError for what the model does not take."""
        gap = value is None or value != value  # noqa: PLR0124 - NaN
        z = self.missing if gap else ((value - self.shift) / self.scale) * self.factor + self.offset
        if z is None or not isfinite(z):
            raise not_finite([self.name])
        return z

    def source(self, name: str) -> str:
        """Return z as Python, of a variable that holds no NaN."""
        text = name if self.shift == 0.0 else f"({name} - {_number(self.shift)})"
        text = text if self.scale == 1.0 else f"{text} / {_number(self.scale)}"
        text = text if self.factor == 1.0 else f"{text} * {_number(self.factor)}"
        text = text if self.offset == 0.0 else f"{text} + {_number(self.offset)}"
        return text if self.missing is None else f"{_number(self.missing)} if {name} is None else {text}"


class Table(msgspec.Struct, frozen=True):
    """A column of categories.

    Attributes:
        input: which of the operation's inputs.
        keys: the categories.
        entries: (keys + 2, outputs): what each adds, then null and NaN, then what is no key.
        missing: whether the model takes null and NaN.
        unknown: whether it takes what is no key.
        name: the column's name, for the error.
    """

    input: int
    keys: tuple[Scalar, ...]
    entries: Array
    missing: bool
    unknown: bool
    name: str = ""

    def place(self, value: Any, places: dict[Any, int]) -> int:
        """Return the entry of a cell; raises RequestError for what the model does not take."""
        gap = value is None or value != value  # noqa: PLR0124 - NaN
        place = places.get(value, len(self.keys) + (not gap))
        refused = (place == len(self.keys) and not self.missing) or (place > len(self.keys) and not self.unknown)
        if refused or value in (inf, -inf):
            raise refusal(self.name)
        return place


class Scorecard(Op, frozen=True):
    """``intercept + sum of slopes + sum of table entries``, for each output."""

    intercept: Array
    slopes: tuple[Slope, ...]
    tables: tuple[Table, ...]

    def open(self) -> Kernel:
        """See `Op.open`."""
        whole = _Whole(self)
        count = len(whole.intercept) * len(self.slopes)
        narrow = len(whole.intercept) <= _NARROW and count <= _UNROLLED
        return Kernel(whole.batch, _unrolled(self, whole) if narrow else whole.row)


class _Whole:
    """The operation in numpy, and one row with every check."""

    def __init__(self, op: Scorecard) -> None:
        self.slopes, self.tables, self.intercept = op.slopes, op.tables, op.intercept.open()
        outputs = len(self.intercept)
        self.weights = np.array([slope.weights for slope in op.slopes], dtype=np.float64).reshape(-1, outputs)
        self.signs = [(index, np.array(slope.sign)) for index, slope in enumerate(op.slopes) if slope.sign]
        self.entries = [table.entries.open() for table in op.tables]
        self.places = [{key: place for place, key in enumerate(table.keys)} for table in op.tables]
        steps = ("shift", 0.0), ("scale", 1.0), ("factor", 1.0), ("offset", 0.0)
        self.steps = [_step(op.slopes, name, neutral) for name, neutral in steps]
        self.missing = np.array([nan if slope.missing is None else slope.missing for slope in op.slopes])

    def batch(self, *columns: Any) -> np.ndarray:
        """Score n rows."""
        scores = np.tile(self.intercept, (len(columns[0]), 1))
        if self.slopes:
            self._numbers(columns, scores)
        for table, entries, places in zip(self.tables, self.entries, self.places, strict=True):
            scores += entries[self._found(table, places, columns[table.input])]
        return scores

    def _numbers(self, columns: tuple[Any, ...], scores: np.ndarray) -> None:
        raw = np.empty((len(scores), len(self.slopes)))
        for index, slope in enumerate(self.slopes):
            raw[:, index] = columns[slope.input]  # None becomes NaN
        shift, scale, factor, offset = self.steps
        with np.errstate(over="ignore", invalid="ignore"):
            z = raw if shift is None else raw - shift
            z = z if scale is None else z / scale
            z = z if factor is None else z * factor
            z = z if offset is None else z + offset
        if not np.isfinite(z).all():
            gaps = np.isnan(raw)
            z = np.where(gaps, self.missing, z)
            bad = np.flatnonzero(~np.isfinite(z).all(axis=0))
            if len(bad):
                raise not_finite(self.slopes[index].name for index in bad)
            for index, sign in self.signs:
                scores[gaps[:, index]] += sign
        with np.errstate(over="ignore", invalid="ignore"):
            scores += z @ self.weights

    @staticmethod
    def _found(table: Table, places: dict[Any, int], column: Any) -> np.ndarray:
        values = cells(column)
        found = np.array([*map(places.get, values, repeat(-1))], dtype=np.intp)
        for index in np.flatnonzero(found < 0).tolist():
            found[index] = table.place(values[index], places)
        return found

    def row(self, *values: Any) -> list[float]:
        """Score one row, with every check."""
        numbers = [slope.of(values[slope.input]) for slope in self.slopes]
        scores = self.intercept + np.array(numbers) @ self.weights if numbers else self.intercept.copy()
        for index, sign in self.signs:
            value = values[self.slopes[index].input]
            if value is None or value != value:  # noqa: PLR0124 - NaN
                scores += sign
        for table, entries, places in zip(self.tables, self.entries, self.places, strict=True):
            scores += entries[table.place(values[table.input], places)]
        return scores.tolist()  # type: ignore[no-any-return]


def _step(slopes: tuple[Slope, ...], name: str, neutral: float) -> np.ndarray | None:
    values = np.array([getattr(slope, name) for slope in slopes])
    return None if (values == neutral).all() else values


def _number(value: float) -> str:
    return repr(float(value)) if isfinite(value) else "inf" if value > 0 else "-inf" if value < 0 else "nan"


def _unrolled(op: Scorecard, whole: _Whole) -> Callable[..., list[float]]:
    """Return the row path written out as one function, three times as fast as loops.

    Its source is made of numbers, the words below and nothing else: no text of a plan comes into it. Whatever is not usual (a
    value that is missing where none was filled, unknown, infinite) fails or gives no finite sum, and is done again slowly.
    """
    outputs = range(len(whole.intercept))
    arguments = ", ".join(f"c{index}" for index in range(len(op.inputs)))
    names: dict[str, Any] = {"slowly": whole.row, "inf": inf, "nan": nan}
    lines = [f"z{index} = {slope.source(f'c{slope.input}')}" for index, slope in enumerate(op.slopes)]
    for index, table in enumerate(op.tables):
        names[f"g{index}"], default = _getter(table, whole.entries[index])
        names[f"u{index}"] = default
        targets = ", ".join(f"t{index}_{output}" for output in outputs)
        lines.append(f"{targets} = g{index}(c{table.input}{'' if default is None else f', u{index}'})")
    lines += [f"d{output} = {_sum(op, whole, output)}" for output in outputs]
    for index, sign in whole.signs:
        lines.append(f"if c{op.slopes[index].input} is None:")
        lines += [f"    d{output} += {_number(gain)}" for output, gain in enumerate(sign.tolist())]
    body = "\n".join(f"        {line}" for line in lines)
    again = f"return slowly({arguments})"
    source = (
        f"def row({arguments}):\n    try:\n{body}\n    except (TypeError, OverflowError):\n        {again}\n"
        f"    if d0 - d0 != 0.0:\n        {again}\n    return [{', '.join(f'd{output}' for output in outputs)}]\n"
    )
    exec(compile(source, "<scorecard>", "exec"), names)  # noqa: S102 - made of numbers and the words above
    return names["row"]  # type: ignore[no-any-return]


def _sum(op: Scorecard, whole: _Whole, output: int) -> str:
    products = [f"z{index} * {_number(slope.weights[output])}" for index, slope in enumerate(op.slopes)]
    return " + ".join([*products, *(f"t{index}_{output}" for index in range(len(op.tables))), _number(whole.intercept[output])])


def _getter(table: Table, entries: np.ndarray) -> tuple[Callable[..., Any], Any]:
    """Return the lookup of a table, and what it gives for a text that is no key; None sends the row the slow way."""
    rows = [row[0] if len(row) == 1 else tuple(row) for row in entries.tolist()]
    found: dict[Any, Any] = dict(zip(table.keys, rows, strict=False))
    found[None] = rows[-2] if table.missing else None
    textual = all(isinstance(key, str) for key in table.keys)
    return found.get, rows[-1] if textual and table.unknown else None
