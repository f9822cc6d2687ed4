"""Rules by the exact class they lower."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from samovar.scoring.compiler.errors import NotLowered
from samovar.scoring.compiler.values import Draft, Value

Transform = Callable[[Any, Value, Draft], Value]
"""Lowers a fitted transformer: reads a value, returns what ``transform`` makes of it."""

Predict = Callable[[Any, Value, Draft], None]
"""Lowers a fitted predictor: reads a value and sets ``draft.answer``."""

_TRANSFORMS: dict[str, Transform] = {}
_PREDICTS: dict[str, Predict] = {}

_Rule = TypeVar("_Rule", bound=Callable[..., Any])


def transform(*classes: str) -> Callable[[_Rule], _Rule]:
    """Register a rule for transformers, named ``module.Class`` as ``type(x).__module__`` gives it."""
    return _register(_TRANSFORMS, classes)


def predict(*classes: str) -> Callable[[_Rule], _Rule]:
    """Register a rule for predictors."""
    return _register(_PREDICTS, classes)


def _register(table: dict[str, Any], classes: tuple[str, ...]) -> Callable[[_Rule], _Rule]:
    def keep(rule: _Rule) -> _Rule:
        for name in classes:
            assert name not in table, name
            table[name] = rule
        return rule

    return keep


def lower_transform(step: Any, value: Value, draft: Draft) -> Value:
    """Apply the rule of a transformer; raises NotLowered when there is none."""
    rule: Transform = _rule(_TRANSFORMS, step)
    return rule(step, value, draft)


def lower_predict(step: Any, value: Value, draft: Draft) -> None:
    """Apply the rule of a predictor; raises NotLowered when there is none."""
    _rule(_PREDICTS, step)(step, value, draft)


def has_transform(step: Any) -> bool:
    """Tell whether there is a rule for a transformer."""
    return _name(step) in _TRANSFORMS


def _rule(table: dict[str, Any], step: Any) -> Any:
    try:
        return table[_name(step)]
    except KeyError:
        raise NotLowered(f"There is no rule for {type(step).__name__}.") from None


def _name(step: Any) -> str:
    return f"{type(step).__module__}.{type(step).__qualname__}"


def covered() -> tuple[list[str], list[str]]:
    """Return the classes with rules: transformers and predictors, sorted."""
    return sorted(_TRANSFORMS), sorted(_PREDICTS)
