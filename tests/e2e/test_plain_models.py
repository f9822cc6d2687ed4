"""Models logged by scripts that never heard of Samovar are served once an alias points to them."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest
from sklearn.datasets import load_iris, load_wine

pytestmark = pytest.mark.e2e

SCRIPTS = Path(__file__).parent / "scripts"


@pytest.fixture
def log(stack):
    """Run one of the scripts against the stack's MLflow, as its author would; once a module is enough."""

    def run(name, model):
        client = stack.mlflow()
        if not client.search_model_versions(f"name='{model}'"):
            result = stack.run(sys.executable, str(SCRIPTS / name), env={"MLFLOW_TRACKING_URI": stack.address("mlflow")})
            assert result.returncode == 0, result.stderr
        return client

    return run


def assert_answers_like_mlflow(stack, address, model, version, frame):
    """The endpoint answers what stock MLflow's pyfunc answers, row by row, in each form of the protocol."""
    import mlflow

    expected = mlflow.pyfunc.load_model(f"models:/{model}/{version}").predict(frame).tolist()
    split = frame.to_dict(orient="split", index=False)
    for body in ({"dataframe_split": split}, {"dataframe_records": frame.to_dict(orient="records")}):
        answer = stack.http.post(f"{address}/invocations", json=body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["predictions"] == expected
    assert len(set(expected)) > 1


def transactions():
    """Rows as `boosting.py` knows them."""
    return pd.DataFrame({"amount": [10.0, 300.0, 130.5, 125.0], "hour": [1, 2, 23, 0], "shop": ["a", "b", "b", "c"]})


def test_a_plain_logistic_regression_is_served_after_alias_set(stack, log):
    """`samovar alias set` is all it takes; the address is printed by `samovar status`."""
    log("plain_logreg.py", "plain-logreg")
    result = stack.samovar("alias", "set", "plain-logreg", "Production", "1")
    assert result.returncode == 0, result.stderr
    address = stack.served("plain-logreg", 1)
    assert_answers_like_mlflow(stack, address, "plain-logreg", 1, load_iris(as_frame=True).data)
    assert address in stack.samovar("status").stdout


def test_moving_the_alias_with_the_stock_client_replaces_the_version_at_the_same_address(stack, log):
    """An alias moved in MLflow itself is served too."""
    client = log("plain_logreg.py", "plain-logreg")
    client.set_registered_model_alias("plain-logreg", "Moved", "1")
    before = stack.served("plain-logreg", 1, "Moved")
    client.set_registered_model_alias("plain-logreg", "Moved", "2")
    after = stack.served("plain-logreg", 2, "Moved")
    assert after == before
    assert_answers_like_mlflow(stack, after, "plain-logreg", 2, load_iris(as_frame=True).data)
    assert stack.http.get(f"{after}/version").status_code == 200


def test_a_move_made_elsewhere_is_recorded_as_external(stack, log, eventually):
    """Samovar serves what others decide, and writes down that it was not its own decision."""
    client = log("plain_logreg.py", "plain-logreg")
    client.set_registered_model_alias("plain-logreg", "External", "2")
    stack.served("plain-logreg", 2, "External")

    def recorded():
        return any({"External", "external"} <= set(row) for row in stack.tables()["decisions"])

    eventually(recorded, 10, "an external decision recorded")


def test_deleting_the_alias_stops_its_endpoint(stack, log, eventually):
    """With the alias the endpoint goes: its port refuses, others stay."""
    client = log("plain_logreg.py", "plain-logreg")
    client.set_registered_model_alias("plain-logreg", "Stays", "1")
    client.set_registered_model_alias("plain-logreg", "Leaves", "1")
    stays, leaves = stack.served("plain-logreg", 1, "Stays"), stack.served("plain-logreg", 1, "Leaves")
    client.delete_registered_model_alias("plain-logreg", "Leaves")
    port = int(leaves.rsplit(":", 1)[1])
    eventually(lambda: port not in stack.ports(), 20, "the endpoint of a deleted alias stopped")
    assert ("plain-logreg", "Leaves") not in stack.endpoints()
    assert stack.http.get(f"{stays}/ping").status_code == 200


def test_deleting_it_with_the_command_stops_it_too(stack, log, eventually):
    """`samovar alias delete` does the same."""
    log("plain_logreg.py", "plain-logreg")
    assert stack.samovar("alias", "set", "plain-logreg", "Brief", "1").returncode == 0
    stack.served("plain-logreg", 1, "Brief")
    result = stack.samovar("alias", "delete", "plain-logreg", "Brief")
    assert result.returncode == 0, result.stderr
    eventually(lambda: ("plain-logreg", "Brief") not in stack.endpoints(), 20, "the endpoint stopped")


def test_a_random_forest_logged_with_trusted_types_is_served(stack, log):
    """Its types are on Samovar's own list; nobody has to trust anything. The model's name needs no care."""
    client = log("forest.py", "Wine Forest")
    client.set_registered_model_alias("Wine Forest", "Production", "1")
    address = stack.served("Wine Forest", 1)
    assert_answers_like_mlflow(stack, address, "Wine Forest", 1, load_wine(as_frame=True).data)


def test_a_gradient_boosting_pipeline_logged_with_trusted_types_is_served(stack, log):
    """Numbers, an integer and a category, by a pipeline."""
    log("boosting.py", "boosting")
    assert stack.samovar("alias", "set", "boosting", "Production", "1").returncode == 0
    address = stack.served("boosting", 1)
    assert_answers_like_mlflow(stack, address, "boosting", 1, transactions())
    assert_answers_like_mlflow(stack, address, "boosting", 1, transactions().assign(shop=["never seen", "b", "b", "c"]))


def test_a_pickled_model_is_served_only_after_the_command_that_status_shows(stack, log, eventually):
    """A pickle runs its author's code: the endpoint says Untrusted and how to trust it, and nothing is loaded before."""
    client = log("pickled.py", "pickled")
    mark = stack.path / "pickled-was-loaded"
    mark.unlink()
    client.set_registered_model_alias("pickled", "Production", "1")

    def untrusted():
        return stack.endpoints().get(("pickled", "Production"), {}).get("condition") == "Untrusted"

    eventually(untrusted, 40, lambda: f"the condition Untrusted: {stack.endpoints()}")
    shown = stack.samovar("status").stdout
    assert "Untrusted" in shown
    assert "samovar trust pickled/1" in " ".join(shown.split())
    assert stack.endpoints()["pickled", "Production"]["serving"] is None
    assert not mark.exists(), "code of the model's author ran before anybody trusted it"
    result = stack.samovar("trust", "pickled/1")
    assert result.returncode == 0, result.stderr
    address = stack.served("pickled", 1)
    assert mark.exists()
    assert_answers_like_mlflow(stack, address, "pickled", 1, load_iris(as_frame=True).data)


def test_a_model_leaves_nothing_on_the_disk(stack):
    """Models live in memory: no temporary folder of a build or a load stays behind."""
    assert [path.name for path in (stack.path / "tmp").iterdir() if "mlflow" not in path.name.lower()] == []
