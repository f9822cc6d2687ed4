"""A registered version brought back to life in this process: its files, its contract, and its answers on known rows."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.errors import ModelError
from samovar.registry.files import fetch_files
from samovar.scoring.load import load_native
from samovar.scoring.request import BuildRequest
from samovar.store import trust
from samovar.training import outcomes
from samovar.training.outcomes import Outcome

if TYPE_CHECKING:
    import polars as pl

    from samovar.contracts.spec import Scalar
    from samovar.pipelines.context import Context
    from samovar.project import Project
    from samovar.registry.client import Version
    from samovar.scoring.engine import Engine
    from samovar.scoring.plan import ScorerPlan

_LATENCY_CALLS = 15


@dataclass(frozen=True, slots=True)
class Loaded:
    """A version that can answer.

    Attributes:
        version: which one.
        plan: as an endpoint would get it.
        engine: the open model.
        size_mb: of the stored model.
    """

    version: Version
    plan: ScorerPlan
    engine: Engine
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
        """Median milliseconds of one one-row prediction."""
        times = []
        for position in range(_LATENCY_CALLS):
            row = frame[position % frame.height]
            began = time.perf_counter()
            self.engine.score(row)
            times.append(time.perf_counter() - began)
        return median(times) * 1000


def load(ctx: Context, version: Version) -> Loaded:
    """Fetch and open a version.

    Raises:
        Untrusted: its files may run code and nobody trusted them.
        ModelError: it does not load.
        NotFound: its files are gone.
    """
    with ctx.db.read() as connection:
        trusted = trust.is_trusted(connection, version.model, version.version)
    files = fetch_files(ctx.registry, version)
    # Not compiled: a step scores a version once or twice, and lowering it and comparing the two would take longer.
    asked = BuildRequest(version.model, version.version, version.run_id, version.label, files, trusted=trusted)
    plan, engine = load_native(asked)
    size = sum(len(content) for content in files.values()) / 1e6
    return Loaded(version, plan, engine, size)
