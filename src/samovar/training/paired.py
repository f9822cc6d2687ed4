"""Classical tests of two models on the same rows: evidence beside the bootstrap, and a check on it. Two-sided p-values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import bdtr, ndtr
from scipy.stats import binom, rankdata

from samovar.training.metrics import OF_LABELS

if TYPE_CHECKING:
    from samovar.training.outcomes import Outcome


def supporting(metric: str, challenger: Outcome, champion: Outcome) -> dict[str, Any]:
    """Return the tests that fit a metric, as JSON: McNemar's for predicted labels, DeLong's for the area under the ROC curve."""
    if metric in OF_LABELS:
        return {"mcnemar": mcnemar(challenger.predicted == challenger.truth, champion.predicted == champion.truth)}
    if metric == "roc_auc" and challenger.positive is not None and 0 < challenger.is_positive.sum() < challenger.truth.size:
        return {"delong": delong(challenger.is_positive, challenger.score, champion.score)}
    return {}


def mcnemar(first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    """Compare who is right on the rows where one of two models is; both (n,) booleans.

    Given the number of such rows, those of the first are Binomial(discordant, 1/2) when the two are equal (McNemar 1947): the exact
    p-value is twice its tail, and the mid-p value, which is less conservative and was found never to be too small in practice,
    counts half of what was observed (Fagerland, Lydersen & Laake, BMC Medical Research Methodology 13, 2013).

    Returns:
        ``only_challenger`` and ``only_champion`` (rows that only the first, only the second has right), ``exact_p``, ``mid_p``.
    """
    ours, theirs = int(np.count_nonzero(first & ~second)), int(np.count_nonzero(second & ~first))
    discordant, fewer = ours + theirs, min(ours, theirs)
    exact = min(1.0, 2 * float(bdtr(fewer, discordant, 0.5))) if discordant else 1.0
    mid = 1.0 if ours == theirs else exact - float(binom.pmf(fewer, discordant, 0.5))
    return {"only_challenger": ours, "only_champion": theirs, "exact_p": exact, "mid_p": mid}


def delong(positive: np.ndarray, first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    """Compare the areas under two ROC curves of the same rows; ``positive`` (n,) booleans, scores (n,).

    The variance is of the structural components (DeLong, DeLong & Clarke-Pearson, Biometrics 44, 1988), found by midranks in
    n log n (Sun & Xu, IEEE Signal Processing Letters 21, 2014).

    Returns:
        ``difference`` of the areas, its ``standard_error`` and ``p``.
    """
    components = [_components(score[positive], score[~positive]) for score in (first, second)]
    of_positives = components[0][0] - components[1][0]
    of_negatives = components[0][1] - components[1][1]
    difference = float(of_positives.mean())
    variance = sum(float(part.var(ddof=1)) / part.size for part in (of_positives, of_negatives) if part.size > 1)
    p = 2 * float(ndtr(-abs(difference) / math.sqrt(variance))) if variance > 0 else float(difference == 0)
    return {"difference": difference, "standard_error": math.sqrt(variance), "p": p}


def _components(positives: np.ndarray, negatives: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each positive the share of negatives that score lower, of each negative the share of positives that score higher."""
    together = rankdata(np.concatenate([positives, negatives]))
    below = together[: positives.size] - rankdata(positives)
    above = positives.size - (together[positives.size :] - rankdata(negatives))
    return below / negatives.size, above / positives.size


__all__ = ["delong", "mcnemar", "supporting"]
