"""The loop's steps as the demo asks for them: a project's name in, what the story and the black box need of the result out."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from samovar import kinds, workspace
from samovar.errors import SamovarError
from samovar.pipelines import api

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.settings import Settings

WEAK = {"iris": 1e-4, "fraud": 1e-6}
"""Inverse regularisation of a logistic regression that has barely learned anything."""


class Work:
    """What is done in the process of the steps.

    Args:
        settings: the demo's world.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._training = contextlib.ExitStack()

    def load_training(self) -> None:
        """Let training's libraries load in a process of their own, beside what comes next."""
        from samovar.training import fanout  # noqa: PLC0415 - wanted in the process of the steps alone

        self._training.enter_context(fanout.ready())

    def close(self) -> None:
        """Give back what training had loaded; whatever trains from here on is the scheduler's work."""
        self._training.close()

    def ingest(self, project: str) -> dict[str, Any]:
        """Load and validate."""
        return api.ingest(project, settings=self._settings)

    def first_row(self, project: str) -> dict[str, Any]:
        """Return one accepted row: the request that everybody sends."""
        from samovar.pipelines.context import open_context  # noqa: PLC0415 - heavy
        from samovar.store import datasets  # noqa: PLC0415 - heavy

        with open_context(self._settings) as ctx, ctx.db.begin() as connection:
            dataset = datasets.latest(connection, project)
            if dataset is None:
                raise SamovarError(f"{project} has no dataset after ingest.")
            row = ctx.lake.read(dataset.url).head(1).to_dicts()[0]
        return {spec.name: row[spec.name] for spec in workspace.find(project).contract.fields}

    def train(self, project: str, *, progress: Callable[..., None] | None = None) -> dict[str, Any]:
        """Train all candidates."""
        return api.train(project, settings=self._settings, progress=progress)

    def train_weak(self, project: str) -> int:
        """Train a challenger that has barely learned anything, and return its version."""
        weak = kinds.logreg(C=WEAK[project], trials=1)
        lazy = replace(workspace.find(project), candidates=(weak,))
        return int(api.train(lazy, settings=self._settings)["version"])

    def promote(self, project: str, version: int | None = None) -> dict[str, Any]:
        """Ask the gate."""
        return api.promote(project, version=version, settings=self._settings)

    def infer(self, project: str) -> dict[str, Any]:
        """Batch and shadow predictions."""
        return api.infer(project, settings=self._settings)

    def monitor(self, project: str) -> dict[str, Any]:
        """Look for drift."""
        return api.monitor(project, settings=self._settings)

    def drift_inject(self, project: str, kind: str) -> dict[str, Any]:
        """Store a drifted batch."""
        return api.drift_inject(project, kind=kind, settings=self._settings)
