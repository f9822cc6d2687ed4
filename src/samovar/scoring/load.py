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
) -> ScorerPlan:
    """Build a plan in this process; see `samovar.scoring.build.build` for what it raises."""
    return build(
        BuildRequest(model=model, version=version, run_id=run_id, label=label or f"v{version}", files=dict(files), trusted=trusted)
    )
