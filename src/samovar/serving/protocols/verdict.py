"""Answers of the typed protocol: the response contract's fields, written without a dictionary a row."""

from __future__ import annotations

import datetime as dt
import time
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec

from samovar.serving.protocols.decision import Decider
from samovar.serving.traffic.voice import Voice

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from samovar.contracts.spec import AnswerField, Dtype, Scalar
    from samovar.scoring.plan import ScorerPlan
    from samovar.serving.protocols.decision import Decided

_FACTS = {"label": 0, "decision": 1, "confidence": 2, "prediction_time": 4, "model_version": 5}
"""Where an answer's source stands among the facts of a row; 3 is the probability of the positive class, 6 is null."""

_ROW = 7  # where the row's own values begin; the probabilities follow them


class _Clock:
    """The time in UTC, looked up once a millisecond: it is cheaper to ask how old the last look is."""

    def __init__(self) -> None:
        self._until = 0.0
        self._now = dt.datetime.now(dt.UTC)

    def now(self) -> dt.datetime:
        """Return the time, at most a millisecond ago."""
        ticks = time.monotonic()
        if ticks > self._until:
            self._until = ticks + 0.001
            self._now = dt.datetime.now(dt.UTC)
        return self._now


class Writer:
    """Writes the answers of one plan.

    Args:
        plan: names the answer's fields, the threshold and the version.
        classes: the probability columns of the engine.
    """

    def __init__(self, plan: ScorerPlan, classes: tuple[Scalar, ...]) -> None:
        names = [field.name for field in plan.contract.contract.fields]
        fields = plan.contract.response.fields
        self._decide = Decider.of(plan.contract, classes).decide
        self._label = plan.label
        self._own = Voice(self._decide, plan.label, plan.version)
        self._clock = _Clock()
        self._none = (None,) * len(classes)
        self._struct, self._pick = _answer(fields, [_position(field, names, classes) for field in fields])
        self._cast = _casting(fields)
        self._encode = msgspec.json.Encoder(enc_hook=_plain).encode

    def one(self, row: Sequence[Any], label: Any, shares: Sequence[float] | None, voice: Voice | None = None) -> tuple[bytes, Any]:
        """Return the answer to one row of the contract's fields as a JSON object, and the label that it gives.

        ``voice`` is of the version that answered in the endpoint's place, if one did.
        """
        if voice is not None:
            decided = voice.decide(label, shares)
            return self._encode(self._written(row, decided, shares, self._clock.now(), voice.label)), decided[0]
        decided = self._decide(label, shares)
        facts = self._facts(row, decided, shares, self._clock.now())
        return self._encode(self._struct(*self._pick(facts))), decided[0]

    def many(
        self,
        rows: Sequence[Sequence[Any]],
        labels: Sequence[Any],
        shares: Sequence[Sequence[float]] | None,
        voices: Sequence[Voice | None] | None = None,
    ) -> bytes:
        """Return the answers to rows, in their order, all of one time; see ``one`` for ``voices``."""
        now = self._clock.now()
        every = shares if shares is not None else [None] * len(rows)
        if voices is not None:
            mixed = zip(rows, labels, every, [voice or self._own for voice in voices], strict=True)
            written = [self._written(row, voice.decide(label, own), own, now, voice.label) for row, label, own, voice in mixed]
            return self._encode({"predictions": written})
        answers = [
            self._struct(*self._pick(self._facts(row, self._decide(label, own), own, now)))
            for row, label, own in zip(rows, labels, every, strict=True)
        ]
        return self._encode({"predictions": answers})

    def decided(self, label: Any, shares: Sequence[float] | None) -> Any:
        """Return the label that is answered."""
        return self._decide(label, shares)[0]

    def _written(self, row: Sequence[Any], decided: Decided, shares: Sequence[float] | None, now: dt.datetime, label: str) -> Any:
        facts = self._facts(row, decided, shares, now)
        return self._struct(*self._pick((*facts[:5], label, *facts[6:])))

    def _facts(self, row: Sequence[Any], decided: Decided, shares: Sequence[float] | None, now: dt.datetime) -> tuple[Any, ...]:
        answer, positive, confidence, share = decided
        own = self._none if shares is None else shares
        return (self._cast(answer), positive, confidence, share, now, self._label, None, *row, *own)


def _answer(fields: Sequence[AnswerField], positions: Sequence[int]) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """Return the struct of an answer, and a function from a row's facts to its values."""
    rename = {f"f{index}": field.name for index, field in enumerate(fields)}
    struct = msgspec.defstruct("Answer", [(name, Any) for name in rename], rename=rename, gc=False)
    if len(positions) > 1:
        return struct, itemgetter(*positions)
    return struct, lambda facts: tuple(facts[position] for position in positions)


def _position(field: AnswerField, names: Sequence[str], classes: Sequence[Scalar]) -> int:
    if field.source in _FACTS:
        return _FACTS[field.source]
    if field.source == "echo":
        return _ROW + names.index(field.of) if field.of in names else 6
    if not field.of:
        return 3
    labels = [str(label) for label in classes]
    return _ROW + len(names) + labels.index(field.of) if field.of in labels else 6


_PYTHON: dict[Dtype, Callable[[Any], Any]] = {"int": int, "float": float, "str": str, "bool": bool}


def _casting(fields: Sequence[AnswerField]) -> Callable[[Any], Any]:
    """Return how a label is written in the answer's type; a label that does not fit it is written as it is."""
    kind = next((_PYTHON.get(field.dtype) for field in fields if field.source == "label"), None)

    def cast(label: Any) -> Any:
        if kind is None or type(label) is kind:
            return label
        try:
            return kind(label)
        except (TypeError, ValueError, OverflowError):
            return label

    return cast


def _plain(value: Any) -> Any:
    """Write a number class of a library that the engine let through."""
    if hasattr(value, "item"):
        return value.item()
    raise NotImplementedError
