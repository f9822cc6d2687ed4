"""What a report is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from samovar.monitoring.comparison import Comparison, Figure, Standing
    from samovar.monitoring.drift import DriftReport
    from samovar.profiles.profile import Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model version, rows that came after it was trained, and all that was found about the two.

    Attributes:
        project: the project's name.
        model: registered model.
        version: its champion, whose reference profile is the yardstick.
        dataset: digest of the rows.
        origin: ``source``, or ``injected`` for a drill.
        seen: when the rows were ingested, for people.
        report: the verdict.
        reference: profile of the training rows.
        current: profile of the rows.
        standing: how well the champion did on them; None without labels.
        before: how well it did when it was trained; None where that is not known.
        comparison: the challenger beside it; None without one.
    """

    project: str
    model: str
    version: int
    dataset: str
    origin: str
    seen: str
    report: DriftReport
    reference: Profile
    current: Profile
    standing: Standing | None = None
    before: Figure | None = None
    comparison: Comparison | None = None
