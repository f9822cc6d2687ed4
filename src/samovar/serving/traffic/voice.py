"""How a version speaks where another's endpoint answers with it: its own threshold and name, the asker's classes and words."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from samovar.serving.protocols.decision import Decider

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from samovar.contracts.spec import Scalar
    from samovar.serving.protocols.decision import Decided
    from samovar.serving.traffic.frames import Welcome


class Voice(NamedTuple):
    """Decides and signs a row's answer."""

    decide: Callable[[Any, Sequence[float] | None], Decided]
    label: str
    version: int

    @classmethod
    def of(cls, welcome: Welcome, classes: tuple[Scalar, ...]) -> Voice:
        """Return the voice of who welcomed us; ``classes`` is the order in which its probabilities are handed on."""
        positive = None
        if len(classes) == 2:
            positive = classes.index(welcome.positive) if welcome.positive in classes else 1
        return cls(Decider(classes, positive, welcome.threshold).decide, welcome.label, welcome.version)
