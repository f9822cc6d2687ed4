"""OpenAPI 3.1 of one endpoint, from its contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from samovar.contracts.document import answer_schema, row_schema

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

_PROBES = {
    "/ping": "Answers when the endpoint is up",
    "/health": "The endpoint's state",
    "/version": "The version that answers",
    "/metrics": "Prometheus metrics",
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
        "paths": (_typed(plan) if typed else {}) | {"/invocations": _invocations(plan)} | _probes(),
        "components": {"schemas": {"Error": _ERROR} | (_schemas(plan) if typed else {})},
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
    forms: dict[str, Any] = {name: {} for name in ("dataframe_split", "dataframe_records", "instances", "inputs")}
    body = {
        "type": "object",
        "description": "Exactly one of the forms, and params if the model has any.",
        "properties": forms | {"params": {"type": "object"}},
    }
    example = {"dataframe_records": [plan.example[0]]} if plan.example else None
    operation = _post("Score rows in MLflow's protocol", body, {"type": "object", "properties": {"predictions": {}}}, example)
    operation["post"]["requestBody"]["content"]["text/csv"] = {"schema": {"type": "string"}}
    return operation


def _post(summary: str, body: dict[str, Any], answer: dict[str, Any], example: Any) -> dict[str, Any]:
    content = {"schema": body} | ({"example": example} if example else {})
    errors = {
        "400": "The request breaks the contract",
        "413": "The body is too large",
        "415": "Another content type is expected",
        "500": "The model failed",
    }
    refused = {status: {"description": text, "content": {_JSON: {"schema": _ref("Error")}}} for status, text in errors.items()}
    good = {"200": {"description": "The answer", "content": {_JSON: {"schema": answer}}}}
    return {
        "post": {"summary": summary, "requestBody": {"required": True, "content": {_JSON: content}}, "responses": good | refused}
    }


def _probes() -> dict[str, Any]:
    return {path: {"get": {"summary": text, "responses": {"200": {"description": "OK"}}}} for path, text in _PROBES.items()}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}
