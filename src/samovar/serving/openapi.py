"""OpenAPI 3.1 of one endpoint, from its contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from samovar.contracts.document import answer_schema, row_schema
from samovar.scoring.forms.kinds import inputs_of
from samovar.serving import schemas
from samovar.serving.protocols.oip.infer import paths

if TYPE_CHECKING:
    from samovar.scoring.plan import ScorerPlan
    from samovar.serving.config import EndpointConfig

_JSON = "application/json"

_ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error_code", "message"],
    "properties": {
        "error_code": {"type": "string"},
        "message": {"type": "string", "description": "What was expected, and what to do."},
        "path": {"type": "string", "description": "The contract's field, for example rows[3].amount."},
    },
}

_OIP_ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string", "description": "Where, and what was expected."}},
}

_REFUSALS = {
    "400": "The request breaks the contract",
    "401": "An API key is needed",
    "404": "The model cannot be asked this way",
    "408": "The request did not arrive in time",
    "413": "The body is too large, or has too many rows",
    "415": "Another content type is expected",
    "429": "Too many requests wait",
    "431": "The headers are too large",
    "500": "The model failed",
    "503": "The endpoint cannot answer now",
    "504": "The model did not answer in time",
}

_PROBES = {
    "/ping": ("Answers when the endpoint is up", _JSON),
    "/health": ("The endpoint's state", _JSON),
    "/version": ("The version that answers", _JSON),
    "/metrics": ("Prometheus metrics", "text/plain"),
}


def document(plan: ScorerPlan, config: EndpointConfig) -> dict[str, Any]:
    """Return the specification."""
    typed = bool(plan.contract.contract.fields)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"{config.model}@{config.alias}",
            "version": plan.label,
            "description": plan.contract.contract.description or f"Model {config.model}, alias {config.alias}.",
        },
        "paths": (_typed(plan) if typed else {}) | {"/invocations": _invocations(plan)} | _inference(plan) | _probes(),
        "components": {"schemas": {"Error": _ERROR, "InferenceError": _OIP_ERROR} | (_schemas(plan) if typed else {})},
    }


def example_row(plan: ScorerPlan) -> dict[str, Any]:
    """Return one row that a person may send: the model's input example where it has the fields; empty when there is none."""
    if not plan.example:
        return {}
    named = {field.name: plan.example[0].get(field.name) for field in plan.contract.contract.fields}
    key = plan.contract.contract.key
    if key is not None and named[key.name] is None:
        named[key.name] = {"str": "id-1", "int": 1}.get(key.dtype, "1")
    return {name: value for name, value in named.items() if value is not None}


def _schemas(plan: ScorerPlan) -> dict[str, Any]:
    response = plan.contract.response
    answer = {
        "title": response.name,
        "type": "object",
        "properties": {field.name: answer_schema(field) for field in response.fields},
    }
    return {"Row": row_schema(plan.contract.contract), "Answer": answer}


def _typed(plan: ScorerPlan) -> dict[str, Any]:
    row, answer = _ref("Row"), _ref("Answer")
    example = example_row(plan)
    rows = {"type": "array", "items": row, "minItems": 1}
    wrapped = {"type": "object", "required": ["rows"], "properties": {"rows": rows}, "additionalProperties": False}
    answers = {"type": "object", "properties": {"predictions": {"type": "array", "items": answer}}}
    return {
        "/predict": _post("Score one row", row, answer, example),
        "/batch_predict": _post("Score many rows", {"oneOf": [rows, wrapped]}, answers, [example] if example else None),
    }


def _invocations(plan: ScorerPlan) -> dict[str, Any]:
    example = {"dataframe_records": [plan.example[0]]} if plan.example else None
    answer = {"type": "object", "required": ["predictions"], "properties": {"predictions": {}}}
    operation = _post("Score rows in MLflow's protocol", schemas.forms(plan), answer, example)
    operation["post"]["requestBody"]["content"]["text/csv"] = {"schema": {"type": "string"}}
    return operation


def _inference(plan: ScorerPlan) -> dict[str, Any]:
    """Return the paths of the Open Inference Protocol."""
    if not inputs_of(plan):
        return {}
    ask = _post("Score rows in the Open Inference Protocol", schemas.infer(plan), schemas.inferred(), None, "InferenceError")
    pages = ["/v2", "/v2/health/live", "/v2/health/ready", *(quote(path) + end for path in paths(plan) for end in ("", "/ready"))]
    asked = {f"{quote(path)}/infer": ask for path in paths(plan)}
    return asked | {page: _get("Open Inference Protocol", _JSON) for page in pages}


def _post(summary: str, body: dict[str, Any], answer: dict[str, Any], example: Any, error: str = "Error") -> dict[str, Any]:
    content = {"schema": body} | ({"example": example} if example else {})
    refused = {status: {"description": text, "content": {_JSON: {"schema": _ref(error)}}} for status, text in _REFUSALS.items()}
    good = {"200": {"description": "The answer", "content": {_JSON: {"schema": answer}}}}
    return {
        "post": {"summary": summary, "requestBody": {"required": True, "content": {_JSON: content}}, "responses": good | refused}
    }


def _probes() -> dict[str, Any]:
    return {path: _get(text, kind) for path, (text, kind) in _PROBES.items()}


def _get(summary: str, kind: str) -> dict[str, Any]:
    return {"get": {"summary": summary, "responses": {"200": {"description": "OK", "content": {kind: {}}}}}}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}
