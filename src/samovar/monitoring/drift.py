"""Is this still the world the model was trained on? Current rows against the reference profile, feature by feature.

A feature has shifted when the difference is large (PSI beyond its noise over the policy's threshold) AND cannot be chance
(Holm-corrected chi-square p-value under alpha). Either alone misleads: with many rows any trifle is significant, with few rows
chance alone makes a large PSI. Any shifted feature is an alarm; under ``min_rows`` nothing is.

Shifted answers are shown, but alarm nobody by themselves: a model is surer of rows it has learned from than of new ones, so every
dataset that holds training rows would look shifted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from samovar.monitoring.significance import homogeneity
from samovar.profiles.fields import CategoryProfile, NumericProfile
from samovar.profiles.psi import excess, noise, psi
from samovar.statistics import holm

if TYPE_CHECKING:
    from samovar.monitoring.significance import Test
    from samovar.profiles.fields import FieldProfile
    from samovar.profiles.profile import Profile
    from samovar.project import Drift

Verdict = Literal["ok", "alarm", "too_few_rows"]


class FeatureDrift(msgspec.Struct, frozen=True):
    """How one feature (or the model's answer) differs from the reference.

    Attributes:
        name: feature.
        psi: population stability index as it is.
        noise: PSI to expect of samples of these sizes without drift.
        effect: ``psi - noise``, at least 0; this is what the threshold is about.
        statistic: Pearson's chi-square.
        degrees: its degrees of freedom.
        p_value: chance of such a difference without drift.
        p_corrected: the same, corrected for the number of features looked at (Holm).
        shifted: effect and significance together.
        missing_reference: share of missing values in the reference, 0 to 1.
        missing_current: the same in the current rows.
        unseen: share of current rows outside the reference's range, or of a category it did not keep by name.
        mean_reference: mean of a number; None for a category.
        mean_current: the same in the current rows.
        top_reference: most frequent category; None for a number.
        top_current: the same in the current rows.
    """

    name: str
    psi: float
    noise: float
    effect: float
    statistic: float
    degrees: int
    p_value: float
    p_corrected: float
    shifted: bool
    missing_reference: float
    missing_current: float
    unseen: float
    mean_reference: float | None = None
    mean_current: float | None = None
    top_reference: str | None = None
    top_current: str | None = None


class DriftReport(msgspec.Struct, frozen=True):
    """The verdict and what it rests on.

    Attributes:
        verdict: ``ok``, ``alarm``, or ``too_few_rows`` to tell.
        reference_rows: rows of the reference profile.
        current_rows: rows that were compared with it.
        threshold: the policy's PSI.
        alpha: the policy's family-wise error rate.
        min_rows: the policy's fewest rows.
        features: one entry a feature, largest effect first.
        prediction: the model's answers; None where either profile has none.
    """

    verdict: Verdict
    reference_rows: int
    current_rows: int
    threshold: float
    alpha: float
    min_rows: int
    features: tuple[FeatureDrift, ...]
    prediction: FeatureDrift | None = None

    @property
    def shifted(self) -> tuple[FeatureDrift, ...]:
        """The features that shifted, largest effect first."""
        return tuple(entry for entry in self.features if entry.shifted)

    @property
    def worst(self) -> FeatureDrift:
        """The feature with the largest effect."""
        return self.features[0]


def compare(reference: Profile, current: Profile, policy: Drift) -> DriftReport:
    """Compare current rows with a reference; both profiles must have been counted over the same bins."""
    pairs = list(zip(reference.fields, current.fields, strict=True))
    tests = [homogeneity(old.bins, new.bins) for old, new in pairs]
    corrected = holm([test.p_value for test in tests])
    features = [_entry(old, new, test, p, policy) for (old, new), test, p in zip(pairs, tests, corrected, strict=True)]
    return DriftReport(
        verdict=_verdict(features, current.rows, policy),
        reference_rows=reference.rows,
        current_rows=current.rows,
        threshold=policy.psi,
        alpha=policy.alpha,
        min_rows=policy.min_rows,
        features=tuple(sorted(features, key=_rank)),
        prediction=_answers(reference.prediction, current.prediction, policy),
    )


def _answers(old: FieldProfile | None, new: FieldProfile | None, policy: Drift) -> FeatureDrift | None:
    if old is None or new is None:
        return None
    test = homogeneity(old.bins, new.bins)
    return _entry(old, new, test, test.p_value, policy)


def _rank(entry: FeatureDrift) -> tuple[float, float, str]:
    return -entry.effect, -entry.psi, entry.name


def _verdict(entries: list[FeatureDrift], rows: int, policy: Drift) -> Verdict:
    if rows < policy.min_rows:
        return "too_few_rows"
    return "alarm" if any(entry.shifted for entry in entries) else "ok"


def _entry(old: FieldProfile, new: FieldProfile, test: Test, p_corrected: float, policy: Drift) -> FeatureDrift:
    effect = excess(old.bins, new.bins)
    return FeatureDrift(
        name=old.name,
        psi=psi(old.bins, new.bins),
        noise=noise(old.bins, new.bins),
        effect=effect,
        statistic=test.statistic,
        degrees=test.degrees,
        p_value=test.p_value,
        p_corrected=p_corrected,
        shifted=effect > policy.psi and p_corrected < policy.alpha and new.rows >= policy.min_rows,
        missing_reference=_share(old.missing, old),
        missing_current=_share(new.missing, new),
        unseen=_share(new.below + new.above if isinstance(new, NumericProfile) else new.other, new),
        mean_reference=_mean(old),
        mean_current=_mean(new),
        top_reference=_top(old),
        top_current=_top(new),
    )


def _share(rows: int, profile: FieldProfile) -> float:
    return rows / profile.rows if profile.rows else 0.0


def _mean(profile: FieldProfile) -> float | None:
    return profile.moments.mean if isinstance(profile, NumericProfile) else None


def _top(profile: FieldProfile) -> str | None:
    if not isinstance(profile, CategoryProfile) or not any(profile.counts):
        return None
    return max(zip(profile.counts, profile.values, strict=True))[1]
