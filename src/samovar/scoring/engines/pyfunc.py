"""The engine of any other flavor: mlflow's own pyfunc, on files that live in memory for as long as the load takes."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from samovar.errors import ModelError, RequestError, SamovarError, Untrusted
from samovar.scoring import scratch, trust
from samovar.scoring.engine import Call, Scores
from samovar.scoring.engines import answers, frames
from samovar.scoring.engines.tables import Tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from samovar.contracts.spec import Scalar
    from samovar.scoring.plan import ScorerPlan


class PyfuncEngine:
    """Answers with ``mlflow.pyfunc``."""

    def __init__(self, plan: ScorerPlan, model: Any) -> None:
        self._plan = plan
        self._model = model
        self._tables = Tables(plan)
        self._plain = bool(plan.signature or plan.tensor)

    @property
    def model(self) -> Any:
        """The model inside, where mlflow gives it out; the compiler knows some. None where it does not."""
        try:
            return self._model.get_raw_model()
        except NotImplementedError:
            return None

    @property
    def classes(self) -> tuple[Scalar, ...]:
        """The contract's classes: a pyfunc model does not name its own."""
        return self._plan.contract.classes

    @property
    def inline(self) -> bool:
        """Never: what a model does is its own affair."""
        return False

    def columns(self, columns: Sequence[Sequence[Any]]) -> Scores:
        """See `samovar.scoring.engine.Engine`."""
        return self._scores(self._call(self._tables.of_columns(columns), None))

    def predict(self, columns: Sequence[Sequence[Any]], params: Mapping[str, Any] | None = None) -> Sequence[Any]:
        """See `samovar.scoring.engine.Engine`; a model that does not give one value a row gives what it gives."""
        return answers.builtin(self._call(self._tables.of_columns(columns), params))  # type: ignore[no-any-return]

    def score(self, rows: Any, params: Mapping[str, Any] | None = None) -> Scores:
        """See `samovar.scoring.engine.Engine`."""
        return self._scores(self._call(self._tables.of_rows(rows, fill=False), params))

    def predict_raw(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:
        """See `samovar.scoring.engine.Engine`."""
        return self._model.predict(data, params=dict(params) if params else None)

    def invoke(self, call: Call) -> Any:
        """See `samovar.scoring.engine.Engine`."""
        tabular = call.form == "csv" or (self._plain and call.form != "chat")
        data = frames.read(call, self._plan) if tabular else self._parsed(call)
        return answers.builtin(self._call(data, call.params))

    def _parsed(self, call: Call) -> Any:
        """Let mlflow parse what only mlflow's types can say: nested columns, named tensors, type hints."""
        if call.form == "chat":
            return call.data
        from mlflow.pyfunc import scoring_server  # noqa: PLC0415 - seconds of imports that few models need

        if self._model.metadata._is_signature_from_type_hint():  # noqa: SLF001 - as mlflow's own server asks
            return call.data
        try:
            return scoring_server.infer_and_parse_data({call.form: call.data}, self._model.metadata.get_input_schema())
        except Exception:  # noqa: BLE001 - mlflow's messages hold the submitted values
            raise RequestError("The input does not fit the model's signature.", path=call.form) from None

    def _call(self, data: Any, params: Mapping[str, Any] | None) -> Any:
        try:
            return self.predict_raw(data, params)
        except SamovarError:
            raise
        except Exception as error:
            if "schema" in getattr(error, "message", ""):  # only mlflow's errors have one
                raise RequestError("The input does not fit the model's signature.") from None
            raise ModelError(f"The model failed ({type(error).__name__}).") from error

    def _scores(self, raw: Any) -> Scores:
        """Read labels out of what the model returned; (n, classes) numbers are probabilities."""
        if isinstance(raw, pd.DataFrame):
            raw = raw.to_numpy() if len(raw.columns) == len(self.classes) > 1 else raw.iloc[:, 0]
        array = np.asarray(raw)
        if array.ndim == 2 and array.shape[1] == len(self.classes) and array.dtype.kind == "f":
            return Scores(np.asarray(self.classes, dtype=object)[array.argmax(axis=1)], array)
        return Scores(array.ravel() if array.ndim == 2 and array.shape[1] == 1 else list(array))


def open_plan(plan: ScorerPlan) -> PyfuncEngine:
    """Load the plan's model; raises Untrusted or ModelError."""
    if not plan.trusted:
        raise Untrusted("The model is loaded by code that was logged with it.", remedy=trust.remedy(plan.model, plan.version))
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "true"  # a person trusted it
    import mlflow.pyfunc  # noqa: PLC0415 - after the environment is set

    with files_in_memory(plan.files) as folder:
        try:
            return PyfuncEngine(plan, mlflow.pyfunc.load_model(str(folder)))
        except SamovarError:
            raise
        except ModuleNotFoundError as error:
            raise ModelError(
                f"The model needs the library {error.name}, which is not installed here.",
                remedy="Install what its requirements.txt names where Samovar runs.",
            ) from error
        except Exception as error:
            raise ModelError(
                f"The model does not load ({type(error).__name__}).",
                remedy="Install what its requirements.txt names, or log it with library versions like those installed here.",
            ) from error


@contextmanager
def files_in_memory(files: Mapping[str, bytes]) -> Iterator[Path]:
    """Put files into a private folder, in memory where the system has a memory file system."""
    with scratch.folder() as folder:
        for name, data in files.items():
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts:
                raise ModelError("The model's folder names a file outside of itself.")
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        yield folder
