"""Every route of an endpoint that asks the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from samovar.serving.jobs import Route
from samovar.serving.protocols.computed import Completed, Completer
from samovar.serving.protocols.invocations import Invocations
from samovar.serving.protocols.oip import infer
from samovar.serving.protocols.typed import Many, One, Typed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from samovar.scoring.engine import Engine
    from samovar.scoring.plan import ScorerPlan
    from samovar.serving.config import EndpointConfig
    from samovar.serving.metrics import Cell


def routes(plan: ScorerPlan, engine: Engine, config: EndpointConfig) -> list[Route]:  # noqa: ARG001 - row limits
    """Return the routes of one plan."""
    typed, oip = Typed(plan, engine), infer.Infer(plan, engine)
    return [
        Route("/predict", "/predict", One(typed, engine)),
        Route("/batch_predict", "/batch_predict", Many(typed)),
        Route("/invocations", "/invocations", Invocations(plan, engine)),
        *(Route(f"{path}/infer", "/v2/infer", oip) for path in infer.paths(plan)),
    ]


def completed(routes: list[Route], plan: ScorerPlan, mismatches: Mapping[str, Cell]) -> list[Route]:
    """Return the routes with the computed fields filled in, where the contract has any."""
    completer = Completer(plan, mismatches)
    if not completer.needed:
        return routes
    return [Route(route.path, route.name, Completed(route.handler, completer)) for route in routes]
