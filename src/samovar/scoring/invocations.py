"""MLflow's scoring protocol: bodies into calls. Nothing is judged against a model here."""

from __future__ import annotations

import json
from typing import Any, get_args

import msgspec

from samovar.errors import RequestError
from samovar.scoring.engine import Call, Form

_FORMS = tuple(form for form in get_args(Form) if form not in ("csv", "chat"))
_CHAT = frozenset({"messages", "prompt", "input"})  # what documents for language models have, in MLflow's protocol
ONE_OF = "Expected a JSON object with one of dataframe_split, dataframe_records, instances or inputs."


def parse_json(body: bytes) -> Call:
    """Read a JSON body.

    Raises:
        RequestError: it is no JSON object with exactly one of MLflow's forms.
    """
    document = _decode(body)
    if not isinstance(document, dict):
        raise RequestError(ONE_OF)
    forms = [form for form in _FORMS if form in document]
    if not forms and _CHAT & document.keys():
        return Call(form="chat", data=document)
    if len(forms) != 1:
        raise RequestError(ONE_OF)
    params = document.get("params")
    if params is not None and not isinstance(params, dict):
        raise RequestError("Expected an object.", path="params")
    return Call(form=forms[0], data=document[forms[0]], params=params or {})


def parse_csv(body: bytes) -> Call:
    """Read a CSV body; raises RequestError when it is not UTF-8."""
    try:
        return Call(form="csv", data=body.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise RequestError("The body is not UTF-8 text.") from None


def _decode(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    except RecursionError:
        raise RequestError("The body is nested too deeply.") from None
    try:  # Python clients write NaN and Infinity, which JSON does not have and MLflow accepts
        return json.loads(body)
    except (ValueError, RecursionError):
        raise RequestError("The body is not valid JSON.", remedy="Send one UTF-8 JSON document.") from None
