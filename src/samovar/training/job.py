"""What a candidate's process is given and what it gives back. Plain data: neither side needs the other's libraries."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from samovar.project import Search

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from samovar.contracts.spec import ContractSpec, Scalar
    from samovar.project import CandidateSpec
    from samovar.training.choice import Trial
    from samovar.training.importance import Permuted
    from samovar.training.outcomes import Outcome
    from samovar.training.tokens import Tokens


@dataclass(frozen=True, slots=True)
class FeatureFolder:
    """Where prepared rows are kept; see `samovar.training.features`.

    Attributes:
        folder: of this user alone.
        limit: bytes that it may take.
        code: digest of the code that preparations run.
    """

    folder: str
    limit: int
    code: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """One dataset and the candidates to train on it.

    Attributes:
        contract: the features.
        specs: the candidates.
        train: feature columns of the training rows, in time order if ``timed``.
        labels: labels of the training rows.
        held_out: feature columns of the held-out rows; their labels stay with the parent.
        classes: in scikit-learn's order.
        positive: index of the positive class of a binary target.
        metric: the project's.
        timed: whether rows have an order in time.
        seed: of everything random.
        study: prefix of Optuna study names.
        storage: Optuna storage URL, None is memory.
        groups: codes (n, k) of the training rows' groups, see `samovar.training.groups`; None where there are none.
        search: objectives and budget of the search.
        features: where prepared rows are kept; None prepares them each time.
        asked: positions of the held-out rows on which a fitted model is asked again with each field shuffled; none for no question.
    """

    contract: ContractSpec
    specs: tuple[CandidateSpec, ...]
    train: Mapping[str, np.ndarray]
    labels: np.ndarray
    held_out: Mapping[str, np.ndarray]
    classes: tuple[Scalar, ...]
    positive: int | None
    metric: str
    timed: bool
    seed: int
    study: str = ""
    storage: str | None = None
    groups: np.ndarray | None = None
    search: Search = field(default_factory=Search)
    features: FeatureFolder | None = None
    asked: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Trained:
    """One candidate, fitted on all training rows.

    Attributes:
        name: the candidate's.
        kind: the candidate's.
        params: the parameters found, fixed ones included.
        model: the fitted estimator as skops bytes.
        types: types in it that skops does not vouch for.
        calibration: ``sigmoid``, ``isotonic`` or ``none``.
        selection: the project's metric on out-of-fold training rows; it chooses the best candidate.
        out_of_fold: probabilities of the training rows by models that did not see them, shape (n, k).
        held_out: probabilities of the held-out rows, shape (m, k).
        latency_ms: median time of one one-row prediction.
        seconds: how long the candidate took.
        requirements: distributions that the model needs, with their versions.
        trials: what its search tried.
        chosen: number of the trial whose parameters it has.
        reason: why that one.
        permuted: its answers on the rows asked about, with each field shuffled.
        tokens: words with the greatest weight, of a model that is linear in them.
    """

    name: str
    kind: str
    params: dict[str, Any]
    model: bytes
    types: list[str]
    calibration: str
    selection: float
    out_of_fold: Outcome
    held_out: np.ndarray
    latency_ms: float
    seconds: float
    requirements: dict[str, str] = field(default_factory=dict)
    trials: tuple[Trial, ...] = ()
    chosen: int | None = None
    reason: str = ""
    permuted: Permuted | None = None
    tokens: Tokens = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a candidate is: ``done`` of ``total`` steps, and the best score of its search."""

    name: str
    done: int
    total: int
    best: float | None


@dataclass(frozen=True, slots=True)
class Failed:
    """A candidate that could not be trained, and why, in one line."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Finished:
    """All candidates of a job have answered."""
