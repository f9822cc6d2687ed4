"""Inference params of MLflow's protocol: defaults of the signature, types held to them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from samovar.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from samovar.scoring.engine import Call

_WORDS = {bool: "true or false", int: "an integer", float: "a number", str: "a string", list: "a list", dict: "an object"}


def complete(call: Call, defaults: Mapping[str, Any]) -> Call:
    """Return the call with the signature's params: sent ones over defaults; others are ignored, as mlflow does.

    Raises:
        RequestError: a param has another type than its default.
    """
    if not defaults:
        return replace(call, params={}) if call.params else call
    merged = {name: _same_type(name, call.params.get(name, default), default) for name, default in defaults.items()}
    return replace(call, params=merged)


def _same_type(name: str, value: Any, default: Any) -> Any:
    if default is None or value is None or type(value) is type(default):
        return value
    if type(default) is float and type(value) is int:
        return float(value)
    raise RequestError(f"Expected {_WORDS.get(type(default), 'another type')}.", path=f"params.{name}")
