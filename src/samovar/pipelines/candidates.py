"""Between training and the registry: a dataset into judged candidates, and each of them into the files and figures of a run."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from samovar.contracts import document
from samovar.contracts.answers import default_response
from samovar.contracts.signature import to_columns
from samovar.contracts.spec import ModelContract
from samovar.pipelines import identity, provenance
from samovar.profiles import profile
from samovar.project import CandidateSpec
from samovar.registry import model_folder, runs
from samovar.serving.spool import privacy
from samovar.store import urls
from samovar.training import card, fanout, importance, mistakes, plots, slices, table, threshold
from samovar.training.evaluation import Evaluation, evaluate
from samovar.training.job import Failed, FeatureFolder, Job, Trained
from samovar.training.outcomes import Outcome, are_ordinal, class_indices
from samovar.training.split import group_codes, split

if TYPE_CHECKING:
    from collections.abc import Iterator

    from samovar.contracts.spec import Scalar
    from samovar.pipelines.context import Context
    from samovar.project import Project
    from samovar.registry.runs import Run
    from samovar.store.datasets import Dataset
    from samovar.training.fanout import Report
    from samovar.training.slices import Levels
    from samovar.training.split import Split

MODEL_FOLDER = "model"
EVALUATION = "evaluation.json"
MISTAKES = "mistakes.json"
_EXAMPLE_ROWS = 3
BASELINE = "plain logistic regression"
_MLFLOW_TYPES = {bool: "boolean", int: "long", float: "double", str: "string"}


@dataclass(frozen=True, slots=True)
class Judged:
    """One candidate with its figures."""

    trained: Trained
    evaluation: Evaluation


@dataclass(frozen=True, slots=True)
class Study:
    """A dataset made ready for training, and for judging what comes of it.

    Attributes:
        project: what is trained.
        dataset: on what.
        parts: training rows (in time order, where there is time) and held-out rows.
        classes: of the target.
        job: what the candidates' processes are given.
        slices: parts of the held-out rows.
        commit: of the project's file, if it is in a git repository.
    """

    project: Project
    dataset: Dataset
    parts: Split
    classes: tuple[Scalar, ...]
    job: Job
    slices: dict[str, Levels]
    commit: dict[str, Any] | None = None

    def outcome(self, trained: Trained) -> Outcome:
        """A candidate's answers on the held-out rows, with the threshold that its out-of-fold answers chose."""
        positive = self.job.positive
        limit = threshold.choose(self.project.threshold, trained.out_of_fold) if positive is not None else 0.5
        truth = class_indices(self.parts.held_out[self.project.target].to_list(), self.classes)
        return Outcome(truth, trained.held_out, positive, limit, are_ordinal(self.classes))

    def judge(self, trained: Trained, baseline: Trained | None) -> Judged:
        """Judge a candidate, and compare it with a plain logistic regression."""
        outcome = self.outcome(trained)
        found = evaluate(
            outcome,
            metric=self.project.metric,
            classes=self.classes,
            calibration=trained.calibration,
            seed=self.job.seed,
            baseline=self.outcome(baseline) if baseline else None,
            slices=self.slices,
        )
        where: dict[str, Any] = {"project": self.project.name, "dataset": self.dataset.digest, "model": self._about(trained)}
        where |= {"split": self.parts.how, "train_rows": self.parts.train.height, "dropped_rows": self.parts.dropped}
        return Judged(trained, Evaluation(outcome, where | found.document | self._learned(trained, outcome)))

    def _about(self, trained: Trained) -> dict[str, Any]:
        project = self.project
        about = {"name": project.model, "description": project.description, "target": project.target}
        params = {name: str(value) for name, value in trained.params.items()}
        return about | {"kind": trained.kind, "candidate": trained.name, "params": params}

    def _learned(self, trained: Trained, outcome: Outcome) -> dict[str, Any]:
        """What the candidate looks at: fields by what shuffling them costs, and a linear text model's words."""
        permuted, asked = trained.permuted, self.job.asked
        if permuted is None or asked is None:
            return {}
        fields = importance.importances(outcome, asked, permuted, self.project.metric, self.job.seed)
        return {"importance": {"rows": int(asked.size), "fields": fields}, "tokens": trained.tokens}


def prepare(ctx: Context, project: Project, data: Dataset, key: str, *, code: str | None = None) -> Study:
    """Read a dataset, hold rows out, and make the job; a plain logistic regression joins the candidates to compare them with.

    Args:
        ctx: the world.
        project: what to train.
        data: on what.
        key: of the training; searches are found again by it.
        code: digest of the code behind the candidates' preparations; None takes the project's.
    """
    frame = ctx.lake.read(data.url)
    seed = ctx.settings.seed
    parts = split(frame, project, seed)
    classes = table.classes_of(frame[project.target])
    job = Job(
        contract=project.contract,
        specs=(CandidateSpec("logreg", BASELINE, trials=0), *project.candidates),
        train=table.columns(parts.train, project.contract),
        labels=table.as_labels(parts.train[project.target]),
        held_out=table.columns(parts.held_out, project.contract),
        classes=classes,
        positive=positive_index(project, classes),
        metric=project.metric,
        timed=project.time is not None,
        seed=seed,
        study=f"samovar-{project.name}-{key[:12]}",
        groups=group_codes(parts.train, project),
        storage=urls.study_url(ctx.settings),
        search=project.search,
        features=_feature_folder(ctx, code or identity.code_digest(project)),
        asked=importance.choose(class_indices(parts.held_out[project.target].to_list(), classes), project.contract, seed),
    )
    return Study(project, data, parts, classes, job, slices.masks(project, parts.train, parts.held_out), provenance.commit(project))


def _feature_folder(ctx: Context, code: str) -> FeatureFolder | None:
    limit = int(ctx.settings.feature_cache_mb * 1e6)
    return FeatureFolder(str(ctx.settings.feature_folder), limit, code) if limit else None


def train(ctx: Context, study: Study, progress: Report | None) -> Iterator[Judged | Failed]:
    """Train and judge every candidate; yield each when it is done."""
    early: list[Trained] = []
    baseline: Trained | None = None
    settled = False
    for one in fanout.train_each(study.job, ctx.settings.train_jobs, _without_baseline(progress)):
        if one.name == BASELINE:
            baseline, settled = (one if isinstance(one, Trained) else None), True
            yield from (study.judge(waiting, baseline) for waiting in early)
        elif isinstance(one, Failed):
            yield one
        elif settled:
            yield study.judge(one, baseline)
        else:
            early.append(one)


def positive_index(project: Project, classes: tuple[Scalar, ...]) -> int | None:
    """Index of the positive class of a binary target: the declared one, else the last; None with more than two classes."""
    if len(classes) != 2:
        return None
    return classes.index(project.positive) if project.positive in classes else 1


def _without_baseline(progress: Report | None) -> Report | None:
    if progress is None:
        return None

    def report(name: str, done: int, total: int, best: float | None) -> None:
        if name != BASELINE:
            progress(name, done, total, best)

    return report


def log(ctx: Context, study: Study, one: Judged, run: Run) -> None:
    """Log a candidate into its run."""
    trained = one.trained
    times = {"latency_ms": trained.latency_ms, "train_seconds": trained.seconds, "model_mb": len(trained.model) / 1e6}
    chosen: dict[str, Any] = {"search": trained.reason} if trained.reason else {}
    chosen |= {"kind": trained.kind, "calibration": trained.calibration, "threshold": one.evaluation.outcome.threshold}
    runs.log(
        ctx.registry,
        run,
        trained.params | chosen | {"seed": study.job.seed},
        one.evaluation.figures() | times | {f"selection_{study.project.metric}": trained.selection},
    )
    documents = _documents(study, one)
    drawn = {f"plots/{name}": png for name, png in plots.draw(one.evaluation.document).items()}
    model = {f"{MODEL_FOLDER}/{path}": content for path, content in _model(study, one, run, documents).items()}
    origin = provenance.record(study.project, ctx.settings, trained, study.dataset.digest, study.commit)
    runs.tag(ctx.registry, run, provenance.tags(origin))
    beside = {MISTAKES: _mistakes(ctx, study, one), provenance.FILE: json.dumps(origin, indent=1).encode()}
    runs.log_files(ctx.registry, run, documents | drawn | model | beside)


def _mistakes(ctx: Context, study: Study, one: Judged) -> bytes:
    """Rows, so not in the model's folder: whoever serves a model need not see what it was judged on."""
    hasher = privacy.Hasher(privacy.read_key(ctx.settings.spool_folder))
    held_out = study.parts.held_out
    found = mistakes.worst(one.evaluation.outcome, held_out, study.project.contract, study.classes, hasher)
    return json.dumps(found, indent=1, default=str).encode()


def _documents(study: Study, one: Judged) -> dict[str, bytes]:
    """What people and other parts read of a version, beside the model in its folder and in the run."""
    return {
        document.PATH: document.dump(_contract(study, one)),
        profile.FILE_NAME: profile.encode(_reference(study, one)),
        EVALUATION: json.dumps(one.evaluation.document, indent=1).encode(),
        "model_card.md": card.markdown(one.evaluation.document).encode(),
    }


def _contract(study: Study, one: Judged) -> ModelContract:
    project, binary = study.project, study.job.positive is not None
    return ModelContract(
        contract=project.contract,
        response=project.response or default_response(project.contract, study.classes),
        project=project.name,
        target=project.target,
        classes=study.classes,
        positive=study.classes[study.job.positive] if study.job.positive is not None else None,
        threshold=one.evaluation.outcome.threshold if binary else None,
    )


def _reference(study: Study, one: Judged) -> profile.Profile:
    """Profile of the training rows; the predictions in it are out-of-fold ones, as those on new rows will be."""
    outcome = one.trained.out_of_fold
    if outcome.positive is not None:
        predictions = pl.Series(outcome.score)
    else:
        predictions = pl.Series([str(study.classes[index]) for index in outcome.predicted])
    return profile.build(study.parts.train, study.project.contract, predictions)


def _model(study: Study, one: Judged, run: Run, documents: dict[str, bytes]) -> dict[str, bytes]:
    contract = study.project.contract
    rows = study.parts.train.head(_EXAMPLE_ROWS)
    example = {field.name: [_plain(value) for value in rows[field.name].to_list()] for field in contract.features}
    return model_folder.folder(
        model_folder.SklearnModel(
            data=one.trained.model,
            types=one.trained.types,
            inputs=to_columns(contract),
            output=_MLFLOW_TYPES.get(type(study.classes[0]), "string"),
            example=example,
            requirements=one.trained.requirements,
            run_id=run.run_id,
            made_at=dt.datetime.now(dt.UTC),
            extra=documents,
        )
    )


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.datetime) else value
