"""Bodies of ``/invocations`` into columns of a plan's signature: the usual ones in one pass, all others by the same rules."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from samovar.errors import RequestError
from samovar.scoring import invocations
from samovar.scoring.forms import shapes, tables
from samovar.scoring.forms.exact import ExactReader
from samovar.scoring.forms.layout import Layout, NotPlain
from samovar.scoring.forms.matrix import LARGE, MatrixReader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from samovar.scoring.engine import Call, Engine
    from samovar.scoring.plan import ScorerPlan


@dataclass(slots=True)
class Parsed:
    """A body whose rows are known to be good, or a call that only the engine can judge.

    Attributes:
        columns: n values for each column of the signature, in its order: lists, or arrays of float64 without gaps; empty when
            ``call`` is set.
        params: inference params, as sent.
        call: a request that is no table of plain columns.
    """

    columns: Sequence[Any] = ()
    params: dict[str, Any] = field(default_factory=dict)
    call: Call | None = None

    @property
    def rows(self) -> int:
        """How many rows there are; 1 for a call."""
        return 1 if self.call is not None else len(self.columns[0])


class Reader:
    """Reads bodies for one plan.

    Args:
        plan: its signature says what is read; without one every body is a call.
    """

    def __init__(self, plan: ScorerPlan) -> None:
        self._plan = plan
        self.layout = Layout(plan)
        self.plain = bool(self.layout.columns) and (plan.tensor is not None or bool(plan.signature))
        self._finish = any(kind.finish for kind in self.layout.kinds)
        self._exact: ExactReader | None = None
        self._matrix: MatrixReader | None = None
        if self.plain:
            with contextlib.suppress(ValueError):
                self._exact = ExactReader(self.layout)
                if plan.engine == "compiled":  # the others make frames, from lists
                    self._matrix = MatrixReader(self.layout, self._exact.row)

    def exact(self, body: bytes) -> Parsed | None:
        """Read a JSON body of a usual form; None when it is something else, good or bad.

        Raises:
            RequestError: a value is none of its column's type.
        """
        found = None if self._exact is None else self._exact.read(body)
        if found is None:
            return None
        columns, params = found
        return Parsed(self.layout.finish(columns) if self._finish else columns, params or {})

    @property
    def row(self) -> Callable[[bytes], Sequence[Any] | None] | None:
        """A function from a JSON body of one row without params, in a usual form, to its values; it gives None for other bodies."""
        return None if self._exact is None or self._finish else self._exact.row

    def json(self, body: bytes) -> Parsed:
        """Read a JSON body.

        Raises:
            RequestError: it is none of MLflow's forms, or a row breaks the signature; the path names the column.
        """
        if self._matrix is not None and len(body) > LARGE and (columns := self._matrix.read(body)) is not None:
            return Parsed(columns)
        return self.exact(body) or self.general(invocations.parse_json(body))

    def general(self, call: Call) -> Parsed:
        """Read a parsed JSON body; raises as ``json``."""
        if call.form == "chat":
            return self._chat(call)
        if not self.plain:
            return Parsed(params=call.params, call=call)
        try:
            return Parsed(self.layout.typed(shapes.table(call.form, call.data, self.layout)), call.params)
        except NotPlain:
            return Parsed(params=call.params, call=call)

    def _chat(self, call: Call) -> Parsed:
        """Take what the signature calls params out of the document, as mlflow does."""
        if self._plan.engine != "pyfunc":
            raise RequestError(invocations.ONE_OF)
        names = self._plan.params.keys()
        data = {name: value for name, value in call.data.items() if name not in names}
        params = {name: value for name, value in call.data.items() if name in names}
        return Parsed(params=params, call=replace(call, data=data, params=params))

    def csv(self, body: bytes) -> Parsed:
        """Read a CSV body; raises as ``json``."""
        call = invocations.parse_csv(body)
        if not self.plain:
            return Parsed(call=call)
        try:
            return Parsed(self.layout.typed(tables.table(call.data), cells=True))
        except NotPlain:
            return Parsed(call=call)


def ask(engine: Engine, plan: ScorerPlan, body: bytes) -> Any:
    """Return an engine's answer to a JSON body, with the signature's params; raises what reader and engine raise."""
    parsed = Reader(plan).json(body)
    given = {name: parsed.params.get(name, default) for name, default in plan.params.items()}
    if parsed.call is not None:
        return engine.invoke(replace(parsed.call, params=given))
    return engine.predict(parsed.columns, given)
