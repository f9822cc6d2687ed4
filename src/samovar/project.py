"""What a user declares: one `Project` holds all the loop needs to know of a model.

A project is data and one function (the source). It imports neither scikit-learn nor mlflow, so that `import samovar` stays light.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from samovar import durations
from samovar.contracts.spec import ContractSpec, ModelContract, ResponseSpec, Scalar
from samovar.errors import ProjectError

if TYPE_CHECKING:
    import polars as pl

    from samovar.contracts.declare import Contract, Response

_SLICED = {
    "value": ("text", "int", "float", "bool", "label"),
    "range": ("int", "float"),
    "length": ("text",),
    "period": ("datetime",),
}
_NAME = re.compile(r"^[a-z][a-z0-9_]{0,62}$")

Metric = Literal[
    "accuracy",
    "f1_macro",
    "average_precision",
    "roc_auc",
    "neg_log_loss",
    "quadratic_kappa",
    "neg_mean_absolute_error",
    "adjacent_accuracy",
]
"""Names of scores, all larger-is-better; definitions are in `samovar.training.metrics`."""


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open span of event time, ``start <= t < end`` (UTC); None is unbounded."""

    start: dt.datetime | None = None
    end: dt.datetime | None = None


Source = Callable[[Window], "pl.LazyFrame | pl.DataFrame"]
"""Rows of a window: the contract's fields, the target, and the time column if the project names one."""


Calibration = Literal["auto", "none", "sigmoid", "isotonic"]


@dataclass(frozen=True, slots=True)
class CandidateSpec:
    """One model kind to try: plain data that `samovar.training` turns into estimators.

    Attributes:
        kind: one of `samovar.kinds.BUILT_IN`, or ``custom``.
        name: name shown in runs; equals the kind unless given.
        params: fixed parameters of the estimator; they are not searched.
        trials: how many parameter sets the search tries.
        build: for ``custom``: ``build(contract, **params) -> estimator`` with fit, predict and predict_proba.
        space: for ``custom``: parameter name -> ("float" | "log" | "int", low, high) or a list of choices.
        calibration: how probabilities of a binary target are mended; ``auto`` is a sigmoid, where it lowers the log loss.
    """

    kind: str
    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    trials: int = 6
    build: Callable[..., Any] | None = None
    space: Mapping[str, Any] = field(default_factory=dict)
    calibration: Calibration = "auto"

    def __post_init__(self) -> None:
        """Check the declaration; raises ProjectError."""
        if self.calibration not in get_args(Calibration):
            known = ", ".join(get_args(Calibration))
            raise ProjectError(f"Candidate {self.name}: calibration {self.calibration!r} is unknown.", remedy=f"Known: {known}.")


@dataclass(frozen=True, slots=True)
class Gate:
    """When a challenger may replace the champion.

    Attributes:
        minimum: bar on the project's metric that any promoted version must reach on the held-out rows.
        margin: the lower end of the paired interval of (challenger - champion) must exceed this.
        confidence: two-sided coverage of the bootstrap interval.
        max_latency_ms: bar on the 95th percentile of the time of one one-row prediction, in milliseconds, of the compiled scorer
            where the version compiles; None for no bar.
        max_size_mb: bar on the stored model, in megabytes; None for no bar.
        slice_margin: on no slice of the project may the challenger lose so much of the metric or more; None judges the whole alone.
        slice_rows: rows from which on a slice must prove that; a smaller one refuses only what is proven worse.
        max_latency: the same as ``max_latency_ms`` with its unit, such as ``5ms``.
        replay: how much of the champion's logged traffic a challenger answers again before it is judged, such as ``7d``; None for
            no replay. Where nothing is logged, or nothing that can be replayed, the decision says so.
        max_disagreement: bar on the upper end of the share of replayed rows that get another label; None only reports it.
    """

    minimum: float
    margin: float = 0.0
    confidence: float = 0.95
    max_latency_ms: float | None = None
    max_size_mb: float | None = None
    slice_margin: float | None = None
    slice_rows: int = 100
    max_latency: str | None = None
    replay: str | None = None
    max_disagreement: float | None = None

    def __post_init__(self) -> None:
        """Read what has a unit; raises ProjectError where a bar makes no sense."""
        if not 0 < self.confidence < 1:
            raise ProjectError("Gate: confidence must be between 0 and 1.", remedy="0.95 is usual.")
        if self.slice_margin is not None and self.slice_margin < 0:
            raise ProjectError("Gate: slice_margin is how much a slice may lose, so it is not negative.", remedy="Write 0 or more.")
        if self.max_disagreement is not None and self.replay is None:
            raise ProjectError("Gate: max_disagreement is of a replay.", remedy='Say how much is replayed, as in replay="7d".')
        if self.replay is not None:
            _span("replay", self.replay)
        if self.max_latency is not None:
            if self.max_latency_ms is not None:
                raise ProjectError("Gate: max_latency and max_latency_ms are one bar.", remedy="Give one of them.")
            object.__setattr__(self, "max_latency_ms", _span("max_latency", self.max_latency).total_seconds() * 1000)


def _span(name: str, text: str) -> dt.timedelta:
    try:
        return durations.parse(text)
    except ValueError as error:
        raise ProjectError(f"Gate: {name}: {error}.") from None


@dataclass(frozen=True, slots=True)
class Slice:
    """How rows are parted to be judged part by part.

    Attributes:
        column: a contract field, the target, or the time column.
        by: ``value`` (each frequent value is a part), ``range`` (of a number), ``length`` (of a text, in characters) or ``period``
            (of a time, UTC).
        name: shown in reports; the column's own, or ``<column> length``, unless given.
        edges: for ``range`` and ``length``: rising edges of half-open parts.
        quantiles: number of parts of equally many training rows, where no edges are given.
        every: for ``period``: how long one is.
    """

    column: str
    by: Literal["value", "range", "length", "period"] = "value"
    name: str = ""
    edges: tuple[float, ...] = ()
    quantiles: int = 4
    every: Literal["day", "week", "month", "quarter", "year"] = "month"

    def __post_init__(self) -> None:
        """Fill in the name; raises ProjectError where the parts make no sense."""
        if list(self.edges) != sorted(set(self.edges)):
            raise ProjectError(f"Slice {self.column}: its edges do not rise.", remedy="Write each edge once, the smallest first.")
        if self.quantiles < 2 and not self.edges:
            raise ProjectError(f"Slice {self.column}: {self.quantiles} quantiles are no parts.", remedy="Ask for two or more.")
        if not self.name:
            object.__setattr__(self, "name", f"{self.column} length" if self.by == "length" else self.column)


@dataclass(frozen=True, slots=True)
class Holdout:
    """A fixed number of held-out rows, chosen by a hash of some columns.

    Rows of equal content in these columns never lie on both sides: of two, one is held out at most, and the other is left out.

    Attributes:
        rows: how many.
        of: columns that are hashed.
        where: (column, value): only such rows are held out, the others may be learned from; None for all rows.
    """

    rows: int
    of: tuple[str, ...]
    where: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """How parameters are searched.

    Attributes:
        objectives: what a trial is judged by: ``metric`` (the project's), ``latency`` (CPU time of the compiled scorer for a row)
            and ``size`` of the model. Default: the metric alone. A measured latency is never twice the same, so a
            search that counts it may go another way when it is done again.
        trials: how many parameter sets each candidate tries; None is each kind's own number.
        minutes: longest time of one candidate's search; None is no limit. At least one trial is finished.
        prune: whether a trial that is worse than half of the others is ended early.
        tolerance: with costs among the objectives, how much of the metric may be given for a cheaper model; None is one standard
            error of the best trial's metric.
        runs: whether each trial is a run of MLflow by itself, nested in its candidate's; else a chart and a table in the
            candidate's run tell of them, at a hundredth of the cost.
    """

    objectives: tuple[Literal["metric", "latency", "size"], ...] = ("metric",)
    trials: int | None = None
    minutes: float | None = None
    prune: bool = True
    tolerance: float | None = None
    runs: bool = False

    def __post_init__(self) -> None:
        """Check the declaration; raises ProjectError."""
        known = ("metric", "latency", "size")
        chosen = tuple(name for name in known if name in self.objectives)
        if "metric" not in chosen or len(chosen) != len(self.objectives):
            raise ProjectError(
                f"Search objectives {self.objectives!r} are not understood.",
                remedy=f'Name "metric", and as you like the others: {", ".join(known)}.',
            )
        object.__setattr__(self, "objectives", chosen)
        if (self.trials is not None and self.trials < 1) or (self.minutes is not None and self.minutes <= 0):
            raise ProjectError("A search needs at least one trial and some time.")
        if self.tolerance is not None and self.tolerance < 0:
            raise ProjectError("A search's tolerance is not negative.")


@dataclass(frozen=True, slots=True)
class Drift:
    """When a difference from the reference is an alarm: effect and significance and enough rows.

    Attributes:
        psi: population stability index over which a feature counts as shifted.
        alpha: family-wise error rate of the corrected tests (Holm).
        min_rows: fewest current rows on which an alarm may rest.
        cooldown: shortest time between two retrains of this project that drift asked for.
    """

    psi: float = 0.1
    alpha: float = 0.01
    min_rows: int = 40
    cooldown: dt.timedelta = dt.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class SLO:
    """What an endpoint promises: latencies in milliseconds, shares from 0 to 1."""

    p95_ms: float = 500.0
    p99_ms: float = 1000.0
    availability: float = 0.995
    errors: float = 0.01


@dataclass(frozen=True, slots=True)
class Quality:
    """When a dataset as a whole is refused or reported as odd.

    Attributes:
        max_bad_share: share of rows in quarantine above which the dataset is refused.
        volume_change: relative change of the row count against the previous dataset that is reported.
        null_share: share of nulls in a nullable column that is reported.
        duplicate_share: share of duplicated rows (or keys) that is reported.
    """

    max_bad_share: float = 0.1
    volume_change: float = 0.5
    null_share: float = 0.2
    duplicate_share: float = 0.01


@dataclass(frozen=True, slots=True)
class Project:
    """One model's whole loop.

    Attributes:
        name: lower-case identifier; also the default name of the registered model.
        contract: what one row must look like.
        target: label column that the source adds to the contract's fields.
        source: rows of a window; called by ingest alone.
        candidates: model kinds to train.
        metric: the score that chooses and gates.
        gate: bars of a promotion.
        response: what an answer looks like; None gives the default answer of a classifier.
        positive: positive class of a binary target; probabilities and thresholds speak of it.
        time: event-time column; with it, the held-out rows are the latest ones.
        holdout: share of rows that take no part in training or selection; the gate judges on them. Or which rows those are.
        groups: columns of the source, beyond the contract, whose values never lie on both sides of a split nor of an inner fold.
        label_delay: time until a label is known. With ``time``, rows whose labels were not known when the held-out rows began are
            left out of training, as they would have been then.
        search: how the candidates' parameters are searched.
        drift: when a difference is an alarm.
        slo: what the endpoint promises.
        quality: when a dataset is refused or reported.
        promotion: ``auto`` moves the alias when the gate passes; ``manual`` records the advice, and a person moves it.
        slices: parts of the rows on which a version is judged besides the whole; None looks at closed sets and text lengths.
        threshold: decision threshold policy of a binary model: ``0.5``, or ``max_f1`` on out-of-fold training rows.
        alias: alias of the champion.
        challenger: alias of the version that waits or shadows.
        model: name of the registered model.
        description: one line for people.
    """

    name: str
    contract: ContractSpec
    target: str
    source: Source
    candidates: tuple[CandidateSpec, ...]
    metric: Metric
    gate: Gate
    response: ResponseSpec | None = None
    positive: Scalar | None = None
    time: str | None = None
    holdout: float | Holdout = 0.3
    groups: tuple[str, ...] = ()
    label_delay: dt.timedelta = dt.timedelta()
    search: Search = Search()
    drift: Drift = Drift()
    slo: SLO = SLO()
    quality: Quality = Quality()
    promotion: Literal["auto", "manual"] = "auto"
    slices: tuple[Slice, ...] | None = None
    threshold: Literal["half", "max_f1"] = "half"
    alias: str = "Production"
    challenger: str = "Candidate"
    model: str = ""
    description: str = ""

    def __post_init__(self) -> None:
        """Check the declaration; raises ProjectError that names the attribute."""
        if not _NAME.match(self.name):
            raise ProjectError(f"Project name {self.name!r} is not valid.", remedy="Use a-z, 0-9 and _, starting with a letter.")
        if not self.candidates:
            raise ProjectError(f"Project {self.name} has no candidates.", remedy="Add at least one, such as sv.kinds.logreg().")
        names = [candidate.name for candidate in self.candidates]
        if len(set(names)) != len(names):
            raise ProjectError(f"Project {self.name} has two candidates of one name.", remedy="Give each candidate its own name.")
        if any(spec.name == self.target for spec in self.contract.fields):
            raise ProjectError(
                f"Project {self.name}: the target {self.target!r} is also a contract field.", remedy="Remove it from the contract."
            )
        if not isinstance(self.holdout, Holdout) and not 0 < self.holdout < 1:
            raise ProjectError(f"Project {self.name}: holdout must be between 0 and 1.")
        if isinstance(self.holdout, Holdout) and (self.time or self.groups or self.holdout.rows < 1):
            raise ProjectError(f"Project {self.name}: a Holdout is of one row or more, and goes with neither time nor groups.")
        self._check_slices()
        if self.label_delay and (self.time is None or self.label_delay < dt.timedelta()):
            raise ProjectError(f"Project {self.name}: label_delay is a positive time, and needs the project's time column.")
        if not self.model:
            object.__setattr__(self, "model", self.name)

    def _check_slices(self) -> None:
        kinds = {spec.name: "text" if spec.dtype == "str" else spec.dtype for spec in self.contract.fields}
        kinds |= {self.target: "label"} | ({self.time: "datetime"} if self.time else {})
        names = [one.name for one in self.slices or ()]
        if len(set(names)) != len(names):
            raise ProjectError(f"Project {self.name} has two slices of one name.", remedy="Give each slice its own name.")
        for one in self.slices or ():
            if kinds.get(one.column) not in _SLICED[one.by]:
                raise ProjectError(
                    f"Project {self.name}: column {one.column!r} cannot be parted by {one.by}.",
                    remedy=f"Name a contract field, the target or the time column that is one of: {', '.join(_SLICED[one.by])}.",
                )

    @property
    def carried(self) -> tuple[str, ...]:
        """Columns that a dataset keeps beyond contract, target and time, because the split needs them."""
        chosen = [self.holdout.where[0]] if isinstance(self.holdout, Holdout) and self.holdout.where else []
        known = {self.target, self.time, *(spec.name for spec in self.contract.fields)}
        return tuple(name for name in dict.fromkeys([*self.groups, *chosen]) if name not in known)

    def with_source(self, source: Source) -> Project:
        """Return the same project fed by another source."""
        return replace(self, source=source)


def project(  # noqa: PLR0913 - the declaration is one flat list of named choices on purpose
    *,
    contract: type[Contract],
    target: str,
    candidates: list[CandidateSpec],
    metric: Metric,
    gate: Gate,
    response: type[Response] | None = None,
    name: str | None = None,
    **options: Any,
) -> Callable[[Source], Project]:
    """Turn a source function into a `Project`; see `Project` for the options.

    The project is called as the function unless ``name`` is given; its description is the first line of the docstring.
    """

    def declare(source: Source) -> Project:
        first_line = (source.__doc__ or "").strip().split("\n", 1)[0]
        return Project(
            name=name or source.__name__,
            contract=contract.spec,
            target=target,
            source=source,
            candidates=tuple(candidates),
            metric=metric,
            gate=gate,
            response=response.spec if response else None,
            description=options.pop("description", first_line),
            **options,
        )

    return declare


__all__ = [
    "SLO",
    "CandidateSpec",
    "Drift",
    "Gate",
    "Holdout",
    "Metric",
    "ModelContract",
    "Project",
    "Quality",
    "Search",
    "Slice",
    "Source",
    "Window",
    "project",
]
