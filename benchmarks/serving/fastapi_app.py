"""The competitor one writes by hand, and writes well: the model is loaded once, pydantic checks a row, the answer is one `predict`.

``MODEL=FOLDER/NAME uvicorn fastapi_app:app``. Handlers are coroutines: on one core a thread pool would only add hand-overs.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel, Field, create_model

_path = Path(os.environ["MODEL"])
_types = json.loads(_path.with_suffix(".json").read_text(encoding="utf-8"))["types"]
_model = joblib.load(_path.with_suffix(".joblib"))
_python = {"float": float, "int": int, "str": str}

Row = create_model("Row", **{f"c{n}": (_python[kind], Field(alias=name)) for n, (name, kind) in enumerate(_types.items())})


class Table(BaseModel):
    """Many rows."""

    columns: list[str]
    data: list[list[Any]]


app = FastAPI()


@app.get("/ping")
async def ping() -> dict[str, str]:
    """Whether it is up."""
    return {"status": "ok"}


@app.post("/predict")
async def predict(row: Row) -> dict[str, Any]:  # type: ignore[valid-type]
    """Answer one row."""
    frame = pd.DataFrame([row.model_dump(by_alias=True)])
    return {"prediction": _model.predict(frame).tolist()[0]}


@app.post("/batch")
async def batch(table: Table) -> dict[str, Any]:
    """Answer many rows."""
    return {"predictions": _model.predict(pd.DataFrame(table.data, columns=table.columns)).tolist()}
