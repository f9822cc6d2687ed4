"""MLflow's scoring protocol: what ``mlflow models serve`` answers on ``/invocations``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from samovar.scoring import invocations
from samovar.serving.protocols import params

if TYPE_CHECKING:
    from samovar.scoring.engine import Engine
    from samovar.scoring.plan import ScorerPlan

ACCEPTED = ("application/json", "text/csv")


class Invocations:
    """Answers ``/invocations``."""

    def __init__(self, plan: ScorerPlan, engine: Engine) -> None:
        self._defaults = plan.params
        self._engine = engine

    def answer(self, body: bytes, content_type: str) -> bytes:
        """Answer one body.

        Raises:
            RequestError: the body or the rows are wrong.
            ModelError: the model failed.
        """
        call = (invocations.parse_csv if content_type == "text/csv" else invocations.parse_json)(body)
        call = params.complete(call, self._defaults)
        return msgspec.json.encode({"predictions": self._engine.invoke(call)}, enc_hook=_encode)


def _encode(value: Any) -> Any:
    """Write a number class of a library that the engine let through."""
    if hasattr(value, "item"):
        return value.item()
    raise NotImplementedError
