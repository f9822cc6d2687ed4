"""The other half of the demo's black box: a separate program that judges what the loop left behind.

It uses HTTP, the stock MLflow client and SQL, and computes its own figures from the Parquet snapshots; it imports nothing of
Samovar. Run as a program::

    python -m samovar.demo.judge PLAN OBSERVATIONS

prints one JSON document ``{"checks": [{"project", "promise", "held", "seen"}]}`` and exits 1 if any check did not hold.
"""

from __future__ import annotations

import functools
import json
import os
import sqlite3
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import httpx
import mlflow
import numpy as np
import pandas as pd
from mlflow.tracking import MlflowClient
from sklearn.metrics import average_precision_score, f1_score

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SAMPLE = 50
"""Rows on which an endpoint's answers are compared with the model's own."""

Check = tuple[str, bool, str]
"""The promise, whether it held, and what was seen."""


@dataclass(frozen=True)
class Case:
    """All that the checks of one project look at."""

    name: str
    facts: dict[str, Any]
    client: MlflowClient
    database: sqlite3.Connection
    http: httpx.Client
    address: str
    versions_seen: list[int]
    total: dict[str, Any]

    @property
    def first(self) -> int:
        """The version that the demo promoted first."""
        return int(self.facts["first"])

    @property
    def retrained(self) -> int:
        """The version that the automatic retrain made: the newest one."""
        return max(int(version.version) for version in self.client.search_model_versions(f"name='{self.facts['model']}'"))

    def rows(self, query: str, *values: Any) -> list[sqlite3.Row]:
        """Run one SQL query on the app database."""
        return self.database.execute(query, values).fetchall()

    def snapshot(self, digest: str) -> pd.DataFrame:
        """Read a dataset's accepted rows from the lake."""
        (row,) = self.rows("select url from datasets where project = ? and digest = ?", self.name, digest)
        return pd.read_parquet(row["url"])


def main(argv: list[str]) -> int:
    """Judge all projects of the plan."""
    plan = json.loads(Path(argv[0]).read_text(encoding="utf-8"))
    seen = [json.loads(line) for line in Path(argv[1]).read_text(encoding="utf-8").splitlines()]
    mlflow.set_tracking_uri(plan["mlflow"])
    verdicts: list[dict[str, Any]] = []
    with httpx.Client(timeout=10, trust_env=False) as http, _open(plan["database"]) as database:
        endpoints = http.get(f"{plan['autoserve']}/endpoints").raise_for_status().json()
        endpoints = endpoints["endpoints"] if isinstance(endpoints, dict) else endpoints
        for name, facts in plan["projects"].items():
            case = _case(name, facts, seen, endpoints, database, http)
            verdicts += [{"project": name, "promise": promise, "held": held, "seen": what} for promise, held, what in _judge(case)]
    json.dump({"checks": verdicts}, sys.stdout, indent=1)
    return 0 if verdicts and all(one["held"] for one in verdicts) else 1


def _open(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    return connection


def _case(  # noqa: PLR0913, PLR0917 - gathers everything once
    name: str, facts: dict[str, Any], seen: list[Any], endpoints: list[Any], database: sqlite3.Connection, http: httpx.Client
) -> Case:
    mine = [line for line in seen if line["project"] == name]
    address = next((row["address"] for row in endpoints if row["model"] == facts["model"] and row["alias"] == facts["alias"]), "")
    versions = [int(line["version"].lstrip("v")) for line in mine if line["kind"] == "version"]
    total = next((line for line in mine if line["kind"] == "total"), {"answered": 0, "failed": 0, "failures": []})
    return Case(name, facts, MlflowClient(), database, http, address, versions, total)


def _judge(case: Case) -> Iterator[Check]:
    """Run every check; one that raises did not hold, and says why."""
    for check in CHECKS:
        try:
            yield check(case)
        except Exception as error:  # noqa: BLE001 - a check that cannot be made is a check that did not hold
            yield (check.__doc__ or check.__name__).strip(), False, f"{type(error).__name__}: {error}"[:200]


def _quarantine(case: Case) -> Check:
    """Rejected rows are kept, each with field and reason."""
    declared = case.rows("select coalesce(sum(rejected), 0) as n from datasets where project = ? and origin = 'source'", case.name)[
        0
    ]["n"]
    kept = case.rows("select count(distinct batch || ':' || row_index) as n from quarantine where project = ?", case.name)[0]["n"]
    mute = case.rows("select count(*) as n from quarantine where project = ? and (reason = '' or field = '')", case.name)[0]["n"]
    enough = declared > 0 or not case.facts["dirty"]
    return (
        "rejected rows are kept with field and reason",
        enough and kept == declared and mute == 0,
        f"{kept} kept of {declared} rejected",
    )


def _artifacts(case: Case) -> Check:
    """Contract, profile and evaluation travel with the version."""
    folder = Path(mlflow.artifacts.download_artifacts(f"models:/{case.facts['model']}/{case.first}"))
    wanted = ["data_contract/input_schema.json", "reference_profile.json", "evaluation.json", "MLmodel"]
    missing = [name for name in wanted if not (folder / name).is_file()]
    return "contract, reference profile and evaluation travel with the version", not missing, f"missing: {missing or 'none'}"


def _alias(case: Case) -> Check:
    """After the rollback the alias is where the demo began."""
    version = int(case.client.get_model_version_by_alias(case.facts["model"], case.facts["alias"]).version)
    return "after the rollback the alias points to the first champion", version == case.first, f"v{version}, expected v{case.first}"


def _sequence(case: Case) -> Check:
    """The watcher saw first, retrained, first."""
    wanted = [case.first, case.retrained, case.first]
    held = case.versions_seen == wanted and case.retrained > case.first
    return "a client saw old, retrained and old version answer", held, " -> ".join(f"v{version}" for version in case.versions_seen)


def _lossless(case: Case) -> Check:
    """No request of the watcher failed."""
    answered, failed = case.total["answered"], case.total["failed"]
    return (
        "no request failed across the swaps",
        answered > 0 and failed == 0,
        f"{answered} answered, {failed} failed {case.total['failures']}",
    )


def _same_answers(case: Case) -> Check:
    """The endpoint answers what the version under the alias answers when loaded by stock MLflow."""
    frame = case.snapshot(case.facts["dataset"]).head(SAMPLE)[case.facts["features"]]
    body = {"dataframe_split": json.loads(frame.to_json(orient="split", index=False))}
    served = case.http.post(f"{case.address}/invocations", json=body).raise_for_status().json()["predictions"]
    model = mlflow.pyfunc.load_model(f"models:/{case.facts['model']}@{case.facts['alias']}")
    own = np.asarray(model.predict(frame)).tolist()
    return (
        "the endpoint answers what the aliased model answers",
        served == own,
        f"{sum(a == b for a, b in zip(served, own, strict=True))} of {len(own)} equal",
    )


def _decisions(case: Case) -> Check:
    """Every move of the alias has an approved, applied decision with evidence, and there was no other move."""
    rows = case.rows(
        "select kind, to_version, verdict, evidence, applied_at from decisions where model = ? and alias = ? order by id",
        case.facts["model"],
        case.facts["alias"],
    )
    moves = [row for row in rows if row["applied_at"]]
    history = [row["to_version"] for row in moves]
    proven = all(row["verdict"] == "approved" and json.loads(row["evidence"]) for row in moves)
    kinds = [row["kind"] for row in moves]
    held = history == case.versions_seen and proven and kinds == ["promote", "promote", "rollback"]
    return (
        "each alias move has a recorded decision with evidence",
        held,
        ", ".join(f"{kind} v{to}" for kind, to in zip(kinds, history, strict=True)),
    )


def _refused(case: Case) -> Check:
    """The weak challenger was refused, with its reason."""
    weak = case.facts.get("weak")
    rows = case.rows(
        "select verdict, reason from decisions where model = ? and kind = 'promote' and to_version = ?", case.facts["model"], weak
    )
    held = bool(rows) and all(row["verdict"] == "rejected" and row["reason"] for row in rows) and weak not in case.versions_seen
    return "a weaker challenger was refused by the gate", held, rows[0]["reason"] if rows else "no decision found"


@functools.cache
def _load(model: str, version: int) -> Any:
    return mlflow.sklearn.load_model(f"models:/{model}/{version}")


def _score(case: Case, version: int, frame: pd.DataFrame) -> float:
    """Score a version on rows with the stock client: average precision where there is a positive class, else macro-F1."""
    model = _load(case.facts["model"], version)
    features, truth = frame[case.facts["features"]], frame[case.facts["target"]]
    positive = case.facts.get("positive")
    if positive is None:
        return float(f1_score(truth, model.predict(features), average="macro"))
    column = list(model.classes_).index(positive)
    return float(average_precision_score(truth == positive, model.predict_proba(features)[:, column]))


def _better(case: Case) -> Check:
    """Scored again from outside, the retrained version is better than the champion on the drifted rows."""
    frame = case.snapshot(case.facts["drifted"])
    old, new = _score(case, case.first, frame), _score(case, case.retrained, frame)
    return "the retrained version is better on the drifted rows", new > old, f"{old:.3f} -> {new:.3f}"


def _weaker(case: Case) -> Check:
    """Scored again from outside, the refused challenger was not better than the champion."""
    frame = case.snapshot(case.facts["dataset"])
    champion, weak = _score(case, case.first, frame), _score(case, int(case.facts["weak"]), frame)
    return "the refused challenger was indeed no better", weak <= champion, f"champion {champion:.3f}, challenger {weak:.3f}"


def _predictions(case: Case) -> Check:
    """Batch and shadow answers are stored, one a row."""
    rows = case.snapshot(case.facts["dataset"]).shape[0]
    counts = {
        row["role"]: row["n"]
        for row in case.rows(
            "select role, count(*) as n from predictions where model = ? and dataset = ? group by role",
            case.facts["model"],
            case.facts["dataset"],
        )
    }
    held = counts.get("champion") == rows and counts.get("shadow") == rows
    return "batch and shadow predictions are stored, one a row", held, f"{counts} of {rows} rows"


def _psi(reference: pd.Series, current: pd.Series) -> float:
    """PSI from its definition: sum((q - p) * ln(q / p)) over the reference's deciles; half a row smooths an empty bin."""
    inner = np.unique(np.quantile(reference.dropna(), np.linspace(0, 1, 11)))[1:-1]
    edges = np.concatenate([[-np.inf], inner, [np.inf]])
    p, q = ((counts + 0.5) / (counts + 0.5).sum() for counts in (np.histogram(c.dropna(), edges)[0] for c in (reference, current)))
    return float(np.sum((q - p) * np.log(q / p)))


def _drift(case: Case) -> Check:
    """The drift that this program measures itself raised an alarm, and the undrifted rows did not."""
    before, after = case.snapshot(case.facts["dataset"]), case.snapshot(case.facts["drifted"])
    worst = max(_psi(before[name], after[name]) for name in case.facts["numeric"])
    query = "select verdict, folder from drift_reports where model = ? and version = ? and dataset = ?"
    calm = case.rows(query, case.facts["model"], case.first, case.facts["dataset"])
    alarm = case.rows(query, case.facts["model"], case.first, case.facts["drifted"])
    files = bool(alarm) and all((Path(alarm[0]["folder"]) / f"drift_report.{kind}").is_file() for kind in ("csv", "json", "html"))
    # On a slow machine the scheduler looks a second time, and must come to the same verdict.
    verdicts = [{row["verdict"] for row in rows} for rows in (calm, alarm)]
    held = worst > 0.1 and verdicts == [{"ok"}, {"alarm"}] and files
    return (
        "drift raised the alarm, the undrifted rows did not",
        held,
        f"worst PSI {worst:.2f}, reports {[r['verdict'] for r in calm + alarm]}",
    )


def _retrain(case: Case) -> Check:
    """One alarm made one retrain, and it was finished."""
    rows = case.rows("select state from retrain_requests where project = ?", case.name)
    return "the alarm started exactly one retrain", [row["state"] for row in rows] == ["done"], str([row["state"] for row in rows])


def _bad_request(case: Case) -> Check:
    """A wrong value is refused with the field's name, and is not echoed."""
    canary = "not-a-number-4711"
    row = case.facts["row"] | {case.facts["numeric"][0]: canary}
    answer = case.http.post(f"{case.address}/predict", json=row)
    held = answer.status_code == httpx.codes.BAD_REQUEST and case.facts["numeric"][0] in answer.text and canary not in answer.text
    return "a bad request gets 400 with the field's name, nothing echoed", held, f"{answer.status_code} {answer.text[:120]}"


def _metrics(case: Case) -> Check:
    """The endpoint counts its requests under the promised names."""
    text = case.http.get(f"{case.address}/metrics").raise_for_status().text
    wanted = ["api_request_duration_seconds_count", "api_errors_total", "api_request_size_bytes", "api_response_size_bytes"]
    missing = [name for name in wanted if name not in text]
    return "the endpoint exports the promised metrics", not missing, f"missing: {missing or 'none'}"


CHECKS: tuple[Callable[[Case], Check], ...] = (
    _quarantine,
    _artifacts,
    _sequence,
    _lossless,
    _alias,
    _same_answers,
    _decisions,
    _refused,
    _weaker,
    _predictions,
    _drift,
    _retrain,
    _better,
    _bad_request,
    _metrics,
)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
