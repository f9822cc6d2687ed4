"""What the demo claims, written down as plain JSON for the black box that checks it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from samovar.project import Project


@dataclass
class Claims:
    """Facts of one project that a stranger needs to check the demo: names, digests, version numbers, one request."""

    project: Project
    row: dict[str, Any] = field(default_factory=dict)
    dataset: str = ""
    drifted: str = ""
    first: int = 0
    weak: int = 0
    rejected: int = 0

    def facts(self) -> dict[str, Any]:
        """Return the facts as JSON values."""
        features = self.project.contract.features
        return {
            "model": self.project.model,
            "alias": self.project.alias,
            "target": self.project.target,
            "positive": self.project.positive,
            "features": [spec.name for spec in features],
            "numeric": [spec.name for spec in features if spec.dtype in ("int", "float")],
            "row": self.row,
            "dataset": self.dataset,
            "drifted": self.drifted,
            "first": self.first,
            "weak": self.weak,
            "dirty": self.rejected > 0,
        }


def write(path: Path, *, mlflow: str, autoserve: str, database: Path, claims: list[Claims]) -> None:
    """Write the plan that `watcher` and `judge` read."""
    plan = {
        "mlflow": mlflow,
        "autoserve": autoserve,
        "database": str(database),
        "projects": {one.project.name: one.facts() for one in claims},
    }
    path.write_text(json.dumps(plan, indent=1), encoding="utf-8")
