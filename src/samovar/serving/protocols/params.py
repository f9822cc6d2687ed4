"""Inference params of MLflow's protocol: defaults of the signature, types held to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from samovar.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

_WORDS = {bool: "true or false", int: "an integer", float: "a number", str: "a string", list: "a list", dict: "an object"}


def complete(sent: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the signature's params: sent ones over defaults; others are ignored, as mlflow does.

    Raises:
        RequestError: a param has another type than its default.
    """
    return {name: _same_type(name, sent.get(name, default), default) for name, default in defaults.items()}


def _same_type(name: str, value: Any, default: Any) -> Any:
    if default is None or value is None or type(value) is type(default):
        return value
    if type(default) is float and type(value) is int:
        return float(value)
    raise RequestError(f"Expected {_WORDS.get(type(default), 'another type')}.", path=f"params.{name}")
