"""A version opened in this process: pipelines score known rows with the engine that the endpoints' plans come from.

They ask for ``compile=False``: the model's own library answers, which an endpoint's compiled scorer was held against.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from samovar.scoring.build import build, built
from samovar.scoring.request import BuildRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from samovar.scoring.engine import Engine
    from samovar.scoring.plan import ScorerPlan


def load_plan(  # noqa: PLR0913 - the identity of a version
    files: Mapping[str, bytes],
    model: str,
    version: int,
    *,
    run_id: str = "",
    label: str = "",
    trusted: bool = False,
    compile: bool = True,  # noqa: A002 - the word of every interface
) -> ScorerPlan:
    """Build a plan in this process; see `samovar.scoring.build.build` for what it raises."""
    asked = BuildRequest(model, version, run_id, label or f"v{version}", dict(files), trusted=trusted, compile=compile)
    return build(asked)


def load_native(request: BuildRequest) -> tuple[ScorerPlan, Engine]:
    """Build a plan that is not compiled and return the model that was opened for it; raises as `load_plan`."""
    return built(msgspec.structs.replace(request, compile=False))


def load_served(request: BuildRequest) -> tuple[ScorerPlan, Engine]:
    """Build a plan as an endpoint gets it and return the native model that was opened for it; raises as `load_plan`."""
    return built(request)
