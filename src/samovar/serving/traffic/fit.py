"""Whether rows of one version can be asked of another, and in which order its columns stand."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from samovar.scoring.forms.kinds import inputs_of
from samovar.serving.traffic.frames import FORMAT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from samovar.contracts.spec import Scalar
    from samovar.scoring.plan import ScorerPlan
    from samovar.serving.traffic.frames import Opening

_WIDER = {("integer", "long"), ("integer", "double"), ("long", "double"), ("float", "double")}
"""Types whose values another takes as they are."""


class Misfit(ValueError):
    """Rows cannot be passed; the message says why."""


class Fit:
    """Turns the asker's columns into a version's own.

    Args:
        opening: who asks.
        plan: the version.
        classes: its probability columns.

    Raises:
        Misfit: the version needs other columns, or answers with other classes.
    """

    def __init__(self, opening: Opening, plan: ScorerPlan, classes: tuple[Scalar, ...]) -> None:
        if opening.format != FORMAT or opening.model != plan.model:
            raise Misfit("It is asked by an endpoint of another model or another Samovar.")
        if set(map(repr, opening.classes)) != set(map(repr, classes)):
            raise Misfit("The two versions know different classes.")
        own = inputs_of(plan)
        if not own or not opening.columns:
            raise Misfit("A version takes something else than plain columns.")
        self._places = _places(opening.columns, [(column.name, column.type, column.required) for column in own])
        times = [place for place, column in zip(self._places, own, strict=True) if column.type == "datetime" and place is not None]
        self._times = frozenset(times)
        self.order = None if opening.classes == classes else [classes.index(one) for one in opening.classes]
        """Where the asker's classes stand among the version's; None when they are in one order."""

    def columns(self, given: Sequence[Sequence[Any]], rows: int) -> list[Sequence[Any]]:
        """Return the version's columns of n rows."""
        gaps = [None] * rows
        return [gaps if place is None else self._column(given, place) for place in self._places]

    def values(self, given: Sequence[Any]) -> list[Any]:
        """Return the version's values of one row."""
        return [None if place is None else self._value(given, place) for place in self._places]

    def _column(self, given: Sequence[Sequence[Any]], place: int) -> Sequence[Any]:
        return [_time(value) for value in given[place]] if place in self._times else given[place]

    def _value(self, given: Sequence[Any], place: int) -> Any:
        return _time(given[place]) if place in self._times else given[place]


def _places(given: Sequence[tuple[str, str]], own: Sequence[tuple[str, str, bool]]) -> list[int | None]:
    names = [name for name, _ in given]
    if not all(names) or not all(name for name, *_ in own):
        if len(given) != len(own):
            raise Misfit("The two versions take different numbers of columns.")
        names = [name for name, *_ in own]
    found: list[int | None] = []
    for name, kind, required in own:
        place = names.index(name) if name in names else None
        if place is None and required:
            raise Misfit("It needs a column that the other version does not take.")
        if place is not None and given[place][1] != kind and (given[place][1], kind) not in _WIDER:
            raise Misfit("A column has another type in the other version.")
        found.append(place)
    return found


def _time(value: Any) -> Any:
    """Read a time without a zone, which MessagePack carries as text."""
    return dt.datetime.fromisoformat(value) if isinstance(value, str) else value
