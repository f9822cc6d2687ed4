"""A registered version brought back to life in this process: its files, its contract, and its answers on known rows."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from samovar.errors import ModelError
from samovar.registry.files import fetch_files
from samovar.scoring.engine import open_engine
from samovar.scoring.load import load_native, load_served
from samovar.scoring.request import BuildRequest
from samovar.store import trust
from samovar.training import outcomes, table
from samovar.training.outcomes import Outcome

if TYPE_CHECKING:
    import polars as pl

    from samovar.contracts.spec import Scalar
    from samovar.pipelines.context import Context
    from samovar.project import Project
    from samovar.registry.client import Version
    from samovar.scoring.engine import Engine
    from samovar.scoring.plan import ScorerPlan

_LATENCY_CALLS = 200
_LATENCY_SECONDS = 1.0
_LATENCY_LEAST = 20  # calls, however slow: fewer have no 95th percentile


@dataclass(frozen=True, slots=True)
class Loaded:
    """A version that can answer.

    Attributes:
        version: which one.
        plan: as an endpoint would get it.
        engine: the open model.
        served: what an endpoint would answer with: the compiled model where it was asked for and compiles, else the open one.
        size_mb: of the stored model.
    """

    version: Version
    plan: ScorerPlan
    engine: Engine
    served: Engine
    size_mb: float

    def outcome(self, frame: pl.DataFrame, project: Project, classes: tuple[Scalar, ...], positive: int | None) -> Outcome:
        """Answers on rows whose labels are known, with the classes of the caller and this version's own threshold.

        Raises:
            ModelError: the model gives neither probabilities nor labels of these classes.
        """
        truth = outcomes.class_indices(frame[project.target].to_list(), classes)
        scores = self.engine.score(frame)
        probabilities = self._probabilities(scores.probabilities, scores.labels, classes)
        threshold = self.plan.contract.threshold if positive is not None else None
        return Outcome(truth, probabilities, positive, 0.5 if threshold is None else threshold)

    def _probabilities(self, given: Any, labels: Any, classes: tuple[Scalar, ...]) -> np.ndarray:
        own = self.engine.classes
        if given is None or not own:
            return outcomes.from_labels(list(np.asarray(labels).tolist()), classes)
        columns = np.zeros((len(given), len(classes)))
        for position, label in enumerate(own):
            if label in classes:
                columns[:, classes.index(label)] = np.asarray(given)[:, position]
        if not columns.any():
            raise ModelError(f"{self.version.model} version {self.version.version} knows none of the target's classes.")
        return columns

    def latency_ms(self, frame: pl.DataFrame) -> float:
        """95th percentile of the milliseconds of one one-row prediction, of the scorer that an endpoint would serve."""
        times: list[float] = []
        rows = [self._row(frame[position]) for position in range(min(_LATENCY_CALLS, frame.height))]
        self.served.score(rows[0])  # what is loaded at the first call is no latency
        ends = time.perf_counter() + _LATENCY_SECONDS
        while len(times) < _LATENCY_CALLS and (len(times) < _LATENCY_LEAST or time.perf_counter() < ends):
            row = rows[len(times) % len(rows)]
            began = time.perf_counter()
            self.served.score(row)
            times.append(time.perf_counter() - began)
        return float(np.quantile(times, 0.95)) * 1000

    def _row(self, one: pl.DataFrame) -> Any:
        """Return one row as a request brings it: plain values, where the contract is known."""
        contract = self.plan.contract.contract
        if not contract.features or any(field.name not in one.columns for field in contract.features):
            return one
        return {name: values.tolist() for name, values in table.columns(one, contract).items()}

    @property
    def scorer(self) -> Literal["compiled", "native"]:
        """What ``served`` is."""
        return "native" if self.served is self.engine else "compiled"


def load(ctx: Context, version: Version, *, compile: bool = False) -> Loaded:  # noqa: A002 - the word of every interface
    """Fetch and open a version.

    Args:
        ctx: the world.
        version: which.
        compile: whether it shall also be lowered, as for an endpoint. Lowering it and comparing the two takes longer than to score
            a few thousand rows.

    Raises:
        Untrusted: its files may run code and nobody trusted them.
        ModelError: it does not load.
        NotFound: its files are gone.
    """
    with ctx.db.read() as connection:
        trusted = trust.is_trusted(connection, version.model, version.version)
    files = fetch_files(ctx.registry, version)
    asked = BuildRequest(version.model, version.version, version.run_id, version.label, files, trusted=trusted, compile=compile)
    plan, engine = load_served(asked) if compile else load_native(asked)
    served = open_engine(plan) if plan.engine == "compiled" else engine
    size = sum(len(content) for content in files.values()) / 1e6
    return Loaded(version, plan, engine, served, size)
