"""Samovar closes the loop around an MLflow model registry.

The names a project file needs are here (``import samovar as sv``); every step of the loop can be called by the name its command
has (``sv.ingest("churn")``). Attributes load on first use, so that the import stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# Not lazy: importing the module `samovar.project` binds it to this name, and the decorator must be bound after it, once for all.
from samovar.project import project

__version__ = "0.1.0"

_HOMES = {
    "samovar.contracts.declare": (
        "Answer",
        "Computed",
        "Contract",
        "Doc",
        "Entity",
        "Key",
        "Log",
        "MaxLength",
        "Range",
        "Response",
        "Text",
    ),
    "samovar.project": ("SLO", "CandidateSpec", "Drift", "Gate", "Holdout", "Project", "Quality", "Search", "Slice", "Window"),
    "samovar.errors": ("DataError", "SamovarError"),
    "samovar.pipelines.api": (
        "ingest",
        "train",
        "promote",
        "infer",
        "monitor",
        "reproduce",
        "retrain",
        "rollback",
        "drift_inject",
        "select",
        "ship",
        "traffic",
        "labels_load",
        "ab",
        "explain_decision",
        "replay",
    ),
}
_WHERE = {name: home for home, names in _HOMES.items() for name in names}
_MODULES = ("kinds",)

if TYPE_CHECKING:
    from samovar import kinds as kinds
    from samovar.contracts.declare import Answer as Answer
    from samovar.contracts.declare import Computed as Computed
    from samovar.contracts.declare import Contract as Contract
    from samovar.contracts.declare import Doc as Doc
    from samovar.contracts.declare import Entity as Entity
    from samovar.contracts.declare import Key as Key
    from samovar.contracts.declare import Log as Log
    from samovar.contracts.declare import MaxLength as MaxLength
    from samovar.contracts.declare import Range as Range
    from samovar.contracts.declare import Response as Response
    from samovar.contracts.declare import Text as Text
    from samovar.errors import DataError as DataError
    from samovar.errors import SamovarError as SamovarError
    from samovar.pipelines.api import ab as ab
    from samovar.pipelines.api import drift_inject as drift_inject
    from samovar.pipelines.api import explain_decision as explain_decision
    from samovar.pipelines.api import infer as infer
    from samovar.pipelines.api import ingest as ingest
    from samovar.pipelines.api import labels_load as labels_load
    from samovar.pipelines.api import monitor as monitor
    from samovar.pipelines.api import promote as promote
    from samovar.pipelines.api import replay as replay
    from samovar.pipelines.api import reproduce as reproduce
    from samovar.pipelines.api import retrain as retrain
    from samovar.pipelines.api import rollback as rollback
    from samovar.pipelines.api import select as select
    from samovar.pipelines.api import ship as ship
    from samovar.pipelines.api import traffic as traffic
    from samovar.pipelines.api import train as train
    from samovar.project import SLO as SLO
    from samovar.project import CandidateSpec as CandidateSpec
    from samovar.project import Drift as Drift
    from samovar.project import Gate as Gate
    from samovar.project import Holdout as Holdout
    from samovar.project import Project as Project
    from samovar.project import Quality as Quality
    from samovar.project import Search as Search
    from samovar.project import Slice as Slice
    from samovar.project import Window as Window

__all__ = ["__version__", "project", *_MODULES, *sorted(_WHERE)]  # noqa: PLE0604 - built from the table above


def __getattr__(name: str) -> Any:
    """Load a public name from its home on first use."""
    if name in _MODULES:
        return importlib.import_module(f"samovar.{name}")
    if name in _WHERE:
        return getattr(importlib.import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'samovar' has no attribute {name!r}")
