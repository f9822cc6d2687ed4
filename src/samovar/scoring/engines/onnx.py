"""The engine of ONNX models: onnxruntime on the graph itself, without mlflow. Answers are shaped as mlflow's pyfunc shapes them."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from samovar.errors import ModelError, RequestError
from samovar.scoring import onnxfile
from samovar.scoring.engine import Call, Scores
from samovar.scoring.engines import frames
from samovar.scoring.engines.pyfunc import PyfuncEngine, files_in_memory
from samovar.scoring.onnxfile.graph import parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from samovar.contracts.spec import Scalar
    from samovar.scoring.plan import ScorerPlan

_DTYPES: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
    "tensor(string)": object,
}
"""What values of a named tensor become; other types are left as numpy reads them."""


class Session:
    """A graph that was opened, with the face of an mlflow pyfunc.

    Args:
        session: onnxruntime's.
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        self.inputs: dict[str, str] = {each.name: each.type for each in session.get_inputs()}
        self.outputs: list[str] = [each.name for each in session.get_outputs()]
        self.any_rows = not any(each.shape and isinstance(each.shape[0], int) for each in session.get_inputs())
        """Whether it takes any number of rows; graphs are exported for just one, too."""

    def run(self, feeds: dict[str, np.ndarray]) -> list[Any]:
        """Return the outputs, in order.

        Raises:
            RequestError: the graph does not take these values.
        """
        from onnxruntime.capi import onnxruntime_pybind11_state as states  # noqa: PLC0415 - loaded by now

        try:
            return self._session.run(self.outputs, {name: self._fit(name, array) for name, array in feeds.items()})  # type: ignore[no-any-return]
        except (states.InvalidArgument, ValueError, TypeError):
            raise RequestError(
                "The model does not take these values.", remedy="Compare the request with the model's input example."
            ) from None

    def _fit(self, name: str, array: np.ndarray) -> np.ndarray:
        kind = self.inputs.get(name)
        if kind == "tensor(float)" and array.dtype == np.float64:  # as mlflow does
            with np.errstate(over="ignore"):
                return array.astype(np.float32)
        return array.astype(object) if kind == "tensor(string)" else array

    def feeds(self, data: Any) -> dict[str, np.ndarray]:
        """Return what goes into the graph for a frame, an array, or a mapping of arrays."""
        if isinstance(data, dict):
            missing = next((name for name in self.inputs if name not in data), None)
            if missing is not None:
                raise RequestError("This input is missing.", path=missing)
            return {name: data[name] for name in self.inputs}
        if isinstance(data, pd.DataFrame) and len(self.inputs) > 1:
            return self.feeds({str(name): data[name].to_numpy() for name in data.columns})
        if len(self.inputs) != 1:
            raise RequestError(f"Expected a value for each of the inputs {', '.join(self.inputs)}.")
        return {next(iter(self.inputs)): data.to_numpy() if isinstance(data, pd.DataFrame) else data}

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:  # noqa: ARG002 - a graph takes none
        """Return what mlflow's pyfunc returns: a frame for a frame, else a mapping of the outputs' names to arrays."""
        found = self.run(self.feeds(data))
        if not isinstance(data, pd.DataFrame):
            return dict(zip(self.outputs, found, strict=True))
        flat = {name: np.asarray(values).reshape(-1) for name, values in zip(self.outputs, found, strict=True)}
        if len({len(values) for values in flat.values()}) > 1:
            raise ModelError(
                "The model's outputs differ in length, and MLflow answers a table of them for columns.",
                remedy="Log the model with a signature of one tensor, or export it with one number for each row and output.",
            )
        return pd.DataFrame(flat)


class OnnxEngine(PyfuncEngine):
    """Answers with onnxruntime.

    Args:
        plan: the version.
        session: its opened graph.
        graph: the same as data; the compiler lowers it.
    """

    def __init__(self, plan: ScorerPlan, session: Session, graph: onnxfile.Graph) -> None:
        super().__init__(plan, session)
        self._session = session
        self._graph = graph
        self._own = _classes(graph) if len(session.outputs) == 2 else ()

    @property
    def model(self) -> onnxfile.Graph:
        """The graph."""
        return self._graph

    @property
    def classes(self) -> tuple[Scalar, ...]:
        """What the graph's operators call their classes; empty when it gives no probabilities."""
        return self._own

    def columns(self, columns: Sequence[Sequence[Any]]) -> Scores:
        """See `samovar.scoring.engine.Engine`.

        A row alone is asked twice: onnxruntime adds up a matrix of one row in another order than all others.
        """
        lonely = len(columns[0]) == 1 and self._session.any_rows
        data = self._tables.of_columns([[*column, *column] for column in columns] if lonely else columns)
        scores = self._read(self._session.run(self._session.feeds(data)))
        if not lonely:
            return scores
        return Scores(scores.labels[:1], None if scores.probabilities is None else scores.probabilities[:1])

    def score(self, rows: Any, params: Mapping[str, Any] | None = None) -> Scores:  # noqa: ARG002 - a graph takes none
        """See `samovar.scoring.engine.Engine`."""
        data = self._tables.of_rows(rows, fill=True)
        return self._read(self._session.run(self._session.feeds(data)))

    def _read(self, found: list[Any]) -> Scores:
        """Read labels, and probabilities where there are classes, out of the outputs."""
        first = np.asarray(found[0])
        labels = first.reshape(-1) if first.ndim == 1 or (first.ndim == 2 and first.shape[1] == 1) else first
        if not self._own:
            return Scores(labels)
        shares = found[1]
        if isinstance(shares, list):  # a mapping for each row
            shares = np.array([[row[name] for name in self._own] for row in shares], dtype=np.float32)
        return Scores(labels, np.asarray(shares))

    def _parsed(self, call: Call) -> Any:
        """Read what no signature of plain columns says: named tensors, or whatever comes without a signature."""
        if call.form == "chat":
            raise RequestError("Expected one of MLflow's forms of rows.", remedy="Send inputs, instances or a table.")
        if call.form not in ("inputs", "instances") or not isinstance(call.data, dict):
            return frames.read(call, self._plan)
        return {name: _tensor(name, values, self._session.inputs.get(name, "")) for name, values in call.data.items()}


def _tensor(name: str, values: Any, kind: str) -> np.ndarray:
    try:
        return np.asarray(values, dtype=_DTYPES.get(kind))
    except (ValueError, TypeError, OverflowError):
        raise RequestError(f"Expected an array for a {kind or 'tensor'}.", path=name) from None


def _classes(graph: onnxfile.Graph) -> tuple[Scalar, ...]:
    """Return the classes that the graph's operators name, where they name one list of them."""
    found: set[tuple[Any, ...]] = set()
    for node in graph.nodes:
        for name in ("classlabels_strings", "classlabels_ints", "classlabels_int64s"):
            held = node.settings.get(name)
            if held is not None and len(held):
                found.add(tuple(held if isinstance(held, list) else held.tolist()))
        if node.kind == "ai.onnx.ml.ArrayFeatureExtractor" and node.inputs[0] in graph.known:
            found.add(tuple(_label(each) for each in graph.known[node.inputs[0]].array.ravel().tolist()))
    return found.pop() if len(found) == 1 else ()


def _label(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def open_plan(plan: ScorerPlan) -> OnnxEngine:
    """Load the plan's graph.

    Raises:
        ModelError: it is damaged, uses operators of other libraries, reads tensors from elsewhere, or onnxruntime is missing.
    """
    try:
        data = plan.files[plan.model_file]
    except KeyError:
        raise ModelError("The model's file is missing from its folder.", remedy="Log the model again.") from None
    message = parse(data)
    if strangers := onnxfile.strangers(message):
        raise ModelError(
            f"The ONNX model uses operators that are not onnxruntime's own: {', '.join(strangers[:5])}.",
            remedy="Export it with ONNX's own operators: others are code of a library that an endpoint does not load.",
        )
    outside = onnxfile.external(message)
    held = {PurePosixPath(name).name: content for name, content in plan.files.items()}
    if missing := next((name for name in outside if name not in held), None):
        raise ModelError(f"The ONNX model's file of tensors {missing} is missing from its folder.", remedy="Log the model again.")
    return OnnxEngine(plan, Session(_session(plan, data, outside)), onnxfile.read(data, held))


def _session(plan: ScorerPlan, data: bytes, outside: Sequence[str]) -> Any:
    try:
        import onnxruntime  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        raise ModelError(
            "The model needs the library onnxruntime, which is not installed here.", remedy="Install samovar[onnx]."
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = (
        1  # a team of threads costs more than a row, and workers share cores
    )
    options.log_severity_level = 4  # its words may hold values
    # What was judged is the protobuf message: bytes may be a file of onnxruntime's own format as well, which it would prefer.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        if not outside:
            return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        with files_in_memory(plan.files) as folder:
            return onnxruntime.InferenceSession(folder / plan.model_file, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(
            f"The ONNX model does not load ({type(error).__name__}).",
            remedy="Export it for a version of ONNX that onnxruntime here knows.",
        ) from error
