"""The typed protocol: ``/predict`` and ``/batch_predict`` read the contract's rows and write its answers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from samovar.contracts.decode import RowDecoder
from samovar.errors import NotFound
from samovar.serving.protocols.decision import Decided, Decider

if TYPE_CHECKING:
    from samovar.contracts.spec import AnswerField, AnswerSource, Dtype
    from samovar.scoring.engine import Engine
    from samovar.scoring.plan import ScorerPlan

ACCEPTED = ("application/json",)

Row = dict[str, Any]
Writer = Callable[[Row, Decided, str], Any]


class Typed:
    """Answers ``/predict`` and ``/batch_predict``."""

    def __init__(self, plan: ScorerPlan, engine: Engine) -> None:
        self._engine = engine
        self._decider = Decider(plan.contract, engine.classes)
        self._columns = [field.name for field in plan.contract.contract.features]
        self._decoder = RowDecoder(plan.contract.contract) if self._columns else None
        self._fields = [(field.name, _writer(field, plan.label)) for field in plan.contract.response.fields]

    def one(self, body: bytes) -> bytes:
        """Answer one row.

        Raises:
            RequestError: the row breaks the contract, or the model does not take its values.
            ModelError: the model failed.
            NotFound: the model has no column signature, hence no typed rows.
        """
        return msgspec.json.encode(self._answers([self._rows().one(body)])[0])

    def many(self, body: bytes) -> bytes:
        """Answer many rows, in their order; raises as ``one``."""
        return msgspec.json.encode({"predictions": self._answers(self._rows().many(body))})

    def _rows(self) -> RowDecoder:
        if self._decoder is None:
            raise NotFound(
                "This model has no signature with named columns, so there are no typed requests.",
                remedy="Use /invocations, or log the model with a signature.",
            )
        return self._decoder

    def _answers(self, rows: Sequence[Row]) -> list[Row]:
        scores = self._engine.score({name: [row[name] for row in rows] for name in self._columns})
        now = dt.datetime.now(dt.UTC).isoformat().replace("+00:00", "Z")
        return [
            {name: write(row, decided, now) for name, write in self._fields}
            for row, decided in zip(rows, self._decider.decide(scores), strict=True)
        ]


def _writer(field: AnswerField, version: str) -> Writer:
    """Return how one field of the answer is made."""
    writers: dict[AnswerSource, Writer] = {
        "echo": lambda row, _decided, _now: row.get(field.of),
        "label": lambda _row, decided, _now: _as(field.dtype, decided.label),
        "decision": lambda _row, decided, _now: decided.positive,
        "probability": lambda _row, decided, _now: decided.probability(field.of),
        "confidence": lambda _row, decided, _now: decided.confidence,
        "model_version": lambda _row, _decided, _now: version,
        "prediction_time": lambda _row, _decided, now: now,
    }
    return writers[field.source]


_PYTHON: dict[Dtype, Callable[[Any], Any]] = {"int": int, "float": float, "str": str, "bool": bool}


def _as(dtype: Dtype, value: Any) -> Any:
    """Write a label in the answer's type; a label that does not fit it is written as it is."""
    try:
        return _PYTHON.get(dtype, lambda same: same)(value)
    except (TypeError, ValueError):
        return value
