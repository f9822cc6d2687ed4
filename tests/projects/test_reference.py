"""The reference projects: iris, wine and fraud."""

import ast
import datetime as dt
import importlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import samovar as sv
from samovar import workspace
from samovar.contracts.check import check
from samovar.projects import fraud_world

HELD_OUT = 0.3


def _checked(name):
    project = workspace.find(name)
    rows = project.source(sv.Window())
    frame = rows.collect() if isinstance(rows, pl.LazyFrame) else rows
    return project, frame, check(frame, project.contract, target=project.target, time=project.time)


@pytest.mark.parametrize("name", ["iris", "wine"])
def test_rows_of_the_small_projects_fit_their_contract(name):
    project, frame, checked = _checked(name)
    assert checked.rejected == ()
    assert checked.accepted.height == frame.height > 100
    assert checked.accepted[project.target].n_unique() == 3


def test_the_fraud_feed_has_a_few_broken_rows_of_every_kind():
    """A demo whose data is all clean would not show the quarantine."""
    project, frame, checked = _checked("fraud")
    assert 0.003 < checked.bad_rows / frame.height < 0.007
    assert {r.field for r in checked.rejected} == {"amount", "merchant_category", "hour", "user_age", "account_balance"}
    assert any(r.reason == "missing" for r in checked.rejected)
    assert checked.bad_rows / frame.height < project.quality.max_bad_share


def test_two_to_four_per_cent_of_the_payments_are_fraud_on_every_part_of_the_time():
    frame = fraud_world.transactions()
    assert 11_000 < frame.height < 14_000
    cut = int(frame.height * (1 - HELD_OUT))
    for part in (frame[:cut], frame[cut:]):
        assert 0.02 < part["is_fraud"].mean() < 0.045


def test_the_world_is_the_same_on_every_machine_and_another_seed_is_another_world():
    assert fraud_world.transactions().equals(fraud_world.transactions())
    assert not fraud_world.transactions(seed=1).equals(fraud_world.transactions(seed=2))


def test_hour_and_weekday_are_those_of_the_event_time():
    frame = fraud_world.transactions(days=14, customers=50)
    assert frame["event_time"].is_sorted()
    assert frame["transaction_id"].is_unique().all()
    first = frame.row(0, named=True)
    assert (first["hour"], first["day_of_week"]) == (first["event_time"].hour, first["event_time"].weekday())
    assert set(frame["day_of_week"]) == set(range(7))


def test_a_window_is_half_open_and_its_parts_make_the_whole():
    project = workspace.find("fraud")
    cut = dt.datetime(2026, 1, 31, tzinfo=dt.UTC)
    early = project.source(sv.Window(end=cut)).collect()
    late = project.source(sv.Window(start=cut)).collect()
    assert early["event_time"].max() < cut <= late["event_time"].min()
    assert pl.concat([early, late]).equals(project.source(sv.Window()).collect())


def test_gradient_boosting_clearly_beats_a_linear_model_on_the_latest_payments():
    """The patterns are conjunctions; if a linear model could see them, the world would teach nothing."""
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import average_precision_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    project, _, checked = _checked("fraud")
    rows = checked.accepted.sort("event_time")
    features = rows.select(field.name for field in project.contract.features).to_pandas()
    labels, cut = rows["is_fraud"].to_numpy(), int(rows.height * (1 - HELD_OUT))

    def held_out_score(model):
        one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        columns = make_column_transformer((one_hot, ["merchant_category"]), remainder=StandardScaler())
        fitted = make_pipeline(columns, model).fit(features[:cut], labels[:cut])
        return average_precision_score(labels[cut:], fitted.predict_proba(features[cut:])[:, 1])

    linear = held_out_score(LogisticRegression(max_iter=1000))
    trees = held_out_score(HistGradientBoostingClassifier(max_iter=60, random_state=0))
    assert trees > linear + 0.2
    assert project.gate.minimum < trees < 0.95  # learnable, and not a give-away
    assert linear > 3 * np.mean(labels[cut:])


def test_the_fraud_answer_has_the_promised_fields():
    project = workspace.find("fraud")
    assert [field.name for field in project.contract.fields] == [
        *("transaction_id", "amount", "merchant_category", "hour", "day_of_week", "user_age", "account_balance")
    ]
    assert [field.name for field in project.response.fields] == [
        *("transaction_id", "is_fraud", "fraud_probability", "confidence", "model_version", "prediction_time")
    ]


@pytest.mark.parametrize(
    "name", ["iris", "wine", "fraud", "fraud_world", "fraud_handbook", "handbook_world", "handbook_windows", "reviews", "sentiment"]
)
def test_the_reference_projects_use_nothing_a_user_could_not(name):
    """They are the examples people copy: `import samovar as sv`, and nothing from inside."""
    tree = ast.parse(Path(importlib.import_module(f"samovar.projects.{name}").__file__).read_text())
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert {module for module in modules if module.startswith("samovar.")} <= {"samovar.projects"}
