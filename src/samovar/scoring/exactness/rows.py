"""The rows that a lowered model must answer as the native one: the input example, drawn rows, and edges one by one."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping, Sequence

    from samovar.scoring.exactness.pools import Pools
    from samovar.scoring.program import Column

_DRAWN = 768  # rows; thresholds and categories meet in most pairs
_CELLS = 6000  # of all drawn rows together: of a wide table there are fewer rows, but at least _FEW
_FEW = 192
_CATEGORIES = 64  # of all columns together; each is tried in every column of text
_SENTENCES = 12
_WIDE = 24  # columns that get edges of their own: of a wide table the first ones
_LONGEST = 60  # words of a drawn text

_NUMBER_EDGES = (None, math.nan, math.inf, -math.inf, 0.0, -0.0, -1.0, 0.5, 1e-320, 1e20, -1e20, 1e300, -1e300, 16777217.0)
_INTEGER_EDGES = (None, 0, -1, 1, 2**31 - 1, -(2**31), 2**53 + 1, -(2**62))
_SHORT_EDGES = (None, 0, -1, 1, 2**31 - 1, -(2**31))
_TEXT_EDGES = (
    None,
    "",
    " ",
    "\t\n",
    "no such category",
    "nan",
    "0",
    "Ünïcödé ΑΒΓ ß İ ǆ",
    "\u200b\ufeff",
    "🙂 👩‍🔬",
    "a " * 2000,
    "e\u0301 \u00e9",  # an accent apart, and the same letter in one
)

_EDGES: dict[str, tuple[Any, ...]] = {
    "float64": _NUMBER_EDGES,
    "float32": _NUMBER_EDGES,
    "int64": _INTEGER_EDGES,
    "int32": _SHORT_EDGES,
    "bool": (None, True, False),
    "str": _TEXT_EDGES,
}

Row = list[Any]


class Seen(msgspec.Struct):
    """What a reference profile tells of one field: bin edges of a number, or names of categories."""

    name: str
    edges: tuple[float, ...] = ()
    values: tuple[str, ...] = ()


class _Profile(msgspec.Struct):
    fields: tuple[Seen, ...]


def seen(profile: bytes | None) -> dict[str, Seen]:
    """Read what is needed of a reference profile; nothing when there is none or it cannot be read."""
    try:
        return {item.name: item for item in msgspec.json.decode(profile or b"", type=_Profile).fields}
    except msgspec.DecodeError:
        return {}


@dataclass(slots=True)
class Drawer:
    """Draws rows.

    Attributes:
        columns: what a row consists of.
        example: known good rows, may be empty.
        pools: what the model treats specially.
        known: what the reference profile says, by column.
        generator: of the draws.
        optional: positions of the columns that may be null.
        taken: position -> edge values that the model takes there; drawn rows hold only these.
        said: texts made of the model's words; a column that takes one takes any.
    """

    columns: Sequence[Column]
    example: Sequence[Row]
    pools: Pools
    known: Mapping[str, Seen]
    generator: random.Random
    optional: frozenset[int]
    taken: dict[int, list[Any]] = field(default_factory=dict)
    said: set[str] = field(default_factory=set)

    def edges(self) -> dict[Any, list[tuple[int, Row]]]:
        """Return rows with one edge value each, by that value: pairs of the column's position and the row."""
        groups: dict[Any, list[tuple[int, Row]]] = {}
        base = self.base()
        for position, column in enumerate(self.columns[:_WIDE]):
            for order, value in enumerate(_EDGES[column.kind]):
                if value is None and position not in self.optional:
                    continue  # never comes this far: decoding refuses it
                row = list(base)
                row[position] = value
                groups.setdefault((column.kind, order), []).append((position, row))
        return groups

    def categories(self) -> list[tuple[int, Row]]:
        """Return rows with one of the model's categories or some of its words: which column takes them, only the model knows."""
        self.said = {self._sentence() for _ in range(_SENTENCES if self.pools.words else 0)}
        texts = [*self.pools.texts[:_CATEGORIES], *sorted(self.said)]
        base = self.base()
        found = []
        for position, column in enumerate(self.columns[:_WIDE]):
            if column.kind == "str":
                for text in texts:
                    row = list(base)
                    row[position] = text
                    found.append((position, row))
        return found

    def base(self) -> Row:
        """Return a row that the model should take."""
        return list(self.example[0]) if self.example else [self._usual(index) for index in range(len(self.columns))]

    def drawn(self) -> list[Row]:
        """Return random rows."""
        width = len(self.columns)
        rows = max(_FEW, min(_DRAWN, _CELLS // width))
        return [[self._cell(index, row) for index in range(width)] for row in range(rows)]

    def _cell(self, index: int, row: int) -> Any:
        chance = self.generator.random()
        if chance < 0.05 and self.taken.get(index):
            return self._of(self.taken[index])
        if chance < 0.3 and self.example:
            return self.example[row % len(self.example)][index]
        return self._special(index) if chance < 0.65 else self._usual(index)

    def _usual(self, index: int) -> Any:
        """Draw what the reference rows held."""
        column = self.columns[index]
        known = self.known.get(column.name)
        if column.kind == "str":
            values = known.values if known is not None and known.values else ()
            return self._of(values) if values else self._special(index)
        if known is not None and len(known.edges) > 1:
            return _fit(self.generator.uniform(known.edges[0], known.edges[-1]), column.kind)
        return _fit(self.generator.gauss(0.0, 10.0 ** self.generator.randrange(-1, 4)), column.kind)

    def _special(self, index: int) -> Any:
        """Draw what the model treats specially."""
        kind = self.columns[index].kind
        if kind == "str":
            chosen = self._of(self.taken[index]) if self.taken.get(index) else ""
            return self._sentence() if not chosen or chosen in self.said else chosen
        if not self.pools.numbers:
            return self._usual(index)
        return _fit(self._of(self.pools.numbers), kind)

    def _sentence(self) -> str:
        if not self.pools.words:
            return f"text {self.generator.randrange(100)}"
        return " ".join(self._of(self.pools.words) for _ in range(self.generator.randrange(_LONGEST)))

    def _of(self, values: Sequence[Any]) -> Any:
        return values[int(self.generator.random() * len(values))]


def _fit(value: float, kind: str) -> Any:
    if kind in _FITS and math.isfinite(value):
        return _FITS[kind](value)
    return value if kind.startswith("float") else 0


_FITS: dict[str, Callable[[float], Any]] = {
    "int64": lambda value: int(max(-(2.0**62), min(2.0**62, round(value)))),
    "int32": lambda value: int(max(-(2**31), min(2**31 - 1, round(value)))),
    "bool": lambda value: value > 0,
}
