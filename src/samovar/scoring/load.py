"""Pipelines score versions with the same engines that serve them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from samovar.scoring.build import build
from samovar.scoring.request import BuildRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

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
