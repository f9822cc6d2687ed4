"""Engines: a plan made able to answer. The one place that knows which engine is where.

Engines live in `samovar.scoring.engines` and are imported by name, so that a worker loads only the libraries of its own model.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from samovar.contracts.spec import Scalar
    from samovar.scoring.plan import ScorerPlan

Form = Literal["dataframe_split", "dataframe_records", "instances", "inputs", "csv", "chat"]
"""How the rows of ``/invocations`` are written; ``chat`` is a document for a language model, which is asked as it is."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request of MLflow's protocol, parsed but not judged.

    Attributes:
        form: how ``data`` is written.
        data: builtin Python data; for ``csv`` the text.
        params: inference params.
    """

    form: Form
    data: Any
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scores:
    """Answers for n rows.

    Attributes:
        labels: n predictions of the model's own ``predict``.
        probabilities: array (n, classes) in the order of the engine's ``classes``; None when the model gives none.
        builtin: whether ``labels`` is known to be a list of Python's own values, so that nobody has to look at each.
    """

    labels: Sequence[Any] | np.ndarray
    probabilities: np.ndarray | None = None
    builtin: bool = False


class Engine(Protocol):
    """What every engine can do; one thread calls it at a time."""

    @property
    def classes(self) -> tuple[Scalar, ...]:
        """Class labels in the order of the probability columns; empty when the model gives none."""
        ...

    @property
    def inline(self) -> bool:
        """Whether a few rows take so few microseconds that they are scored on the event loop itself."""
        ...

    def columns(self, columns: Sequence[Sequence[Any]]) -> Scores:
        """Score n rows given as columns in the signature's order, null as None.

        Raises:
            RequestError: the model does not take these values.
            ModelError: the model failed.
        """
        ...

    def predict(self, columns: Sequence[Sequence[Any]], params: Mapping[str, Any] | None = None) -> Sequence[Any]:
        """Return what the model's pyfunc ``predict`` gives for such columns, as n builtin values; raises as ``columns``."""
        ...

    def score(self, rows: Any, params: Mapping[str, Any] | None = None) -> Scores:
        """Score rows of the contract: a mapping of columns, or a polars or pandas frame.

        Raises:
            RequestError: the model does not take these values.
            ModelError: the model failed.
        """
        ...

    def predict_raw(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Return what the model's pyfunc ``predict`` returns for a frame or array."""
        ...

    def invoke(self, call: Call) -> Any:
        """Answer MLflow's protocol: builtin data, ready to be the value of ``predictions``.

        Raises:
            RequestError: the input breaks the signature, or the model does not take these values.
            ModelError: the model failed.
        """
        ...


class RowEngine(Engine, Protocol):
    """An engine that answers one row faster than a batch of one."""

    def row(self, values: Sequence[Any]) -> tuple[Any, Sequence[float] | None]:
        """Score one row, values in the signature's order: the label and the probabilities, if any."""
        ...


def open_engine(plan: ScorerPlan) -> Engine:
    """Load the plan's model.

    Raises:
        Untrusted: the files may run code and nobody trusted them.
        ModelError: the model does not load.
    """
    module = importlib.import_module(f"samovar.scoring.engines.{plan.engine}")
    engine: Engine = module.open_plan(plan)
    return engine
