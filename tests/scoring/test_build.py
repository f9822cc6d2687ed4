import importlib
import os
import subprocess
import sys
from pathlib import Path

import mlflow.pyfunc
import msgspec
import pytest
from mlflow.models import infer_signature
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from samovar.contracts import document
from samovar.contracts.answers import default_response
from samovar.contracts.spec import ContractSpec, FieldSpec, ModelContract
from samovar.errors import ModelError, Untrusted
from samovar.scoring import plan as plans
from samovar.scoring import scratch
from samovar.scoring.engine import Call, open_engine
from samovar.scoring.load import load_plan


def test_a_plan_travels_as_bytes(logged):
    """What a builder writes is what a worker reads, and it scores the same."""
    plan = load_plan(logged("boosting").files, "shop", 3, run_id="r", label="1.2.0")
    travelled = plans.decode(plans.encode(plan))
    columns = [logged("boosting").frame.dropna()[column.name].head(5).tolist() for column in plan.signature]
    assert (travelled.model, travelled.version, travelled.run_id, travelled.label) == ("shop", 3, "r", "1.2.0")
    assert open_engine(travelled).predict(columns) == open_engine(plan).predict(columns)
    assert travelled == plan


def test_the_contract_comes_from_the_signature(logged):
    """A model logged elsewhere has typed rows and an answer with its classes."""
    contract = load_plan(logged("text").files, "reviews", 1).contract
    assert [(field.name, field.dtype) for field in contract.contract.fields] == [("review", "str")]
    assert contract.classes == ("neg", "pos")
    assert contract.positive == "pos"
    assert [field.name for field in contract.response.fields][:3] == ["prediction", "probability", "confidence"]


@pytest.mark.parametrize("name", ["bare", "tensor"])
def test_a_model_without_named_columns_has_no_typed_rows(logged, name):
    assert load_plan(logged(name).files, name, 1).contract.contract.fields == ()


def test_a_regression_answers_a_number(logged):
    contract = load_plan(logged("regression").files, "demand", 1).contract
    assert contract.classes == ()
    assert next((field.name, field.dtype) for field in contract.response.fields) == ("prediction", "float")


def _with_contract(files, **changes):
    fields = tuple(FieldSpec(f"f{index}", "float") for index in range(4))
    rows = ContractSpec("Iris", fields)
    contract = ModelContract(contract=rows, response=default_response(rows, (0, 1, 2)), project="iris", **changes)
    return files | {document.PATH: document.dump(contract)}


def test_a_logged_contract_is_kept(logged):
    """A version that Samovar trained brings its own contract."""
    plan = load_plan(_with_contract(logged("tensor").files, classes=(0, 1, 2), threshold=0.3), "iris", 1)
    assert plan.contract.project == "iris"
    assert plan.contract.threshold == 0.3
    assert [field.name for field in plan.contract.contract.fields] == ["f0", "f1", "f2", "f3"]


def test_a_contract_of_another_model_is_refused(logged):
    """Probabilities under wrong class names would be silent nonsense."""
    with pytest.raises(ModelError, match="classes"):
        load_plan(_with_contract(logged("tensor").files, classes=(2, 1, 0)), "iris", 1)


def test_a_broken_contract_document_is_refused(logged):
    with pytest.raises(ModelError, match="contract document"):
        load_plan(logged("logreg").files | {document.PATH: b"{}"}, "iris", 1)


@pytest.mark.parametrize("name", ["cloudpickle", "custom"])
def test_code_waits_for_trust(logged, name):
    """A pickle and a custom model are Untrusted, with the one command that trusts them, until a person did."""
    with pytest.raises(Untrusted) as caught:
        load_plan(logged(name).files, "shop", 4)
    assert "`samovar trust shop/4`" in str(caught.value)
    assert load_plan(logged(name).files, "shop", 4, trusted=True).trusted


def test_an_untrusted_pickle_is_never_opened(logged, tmp_path):
    """Neither the build nor a forged plan loads a pickle without trust."""
    import cloudpickle

    witness = tmp_path / "ran"

    class Bomb:
        def __reduce__(self):
            return (Path.touch, (witness,))

    files = logged("cloudpickle").files | {"model.pkl": cloudpickle.dumps(Bomb())}
    with pytest.raises(Untrusted):
        load_plan(files, "shop", 4)
    honest = load_plan(logged("cloudpickle").files, "shop", 4, trusted=True, compile=False)
    with pytest.raises(Untrusted):
        open_engine(msgspec.structs.replace(honest, files={"model.pkl": files["model.pkl"]}, trusted=False))
    assert not witness.exists()


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"MLmodel": b"\xff\x00"},
        {"MLmodel": b"[]"},
        {"MLmodel": b"flavors: {}"},
        {"MLmodel": b"flavors: {python_function: {loader_module: mlflow.sklearn, model_path: gone.skops}}"},
    ],
)
def test_files_that_are_no_model_are_one_clear_error(files):
    with pytest.raises((ModelError, Untrusted)) as caught:
        load_plan(files, "shop", 1)
    assert "\n" not in str(caught.value)


def test_a_model_that_fails_its_own_example_is_no_plan(logged):
    """What cannot answer its logged example never reaches an endpoint."""
    broken = b'{"dataframe_split": {"columns": ["other"], "data": [[1]]}}'
    with pytest.raises(ModelError, match="own input example"):
        load_plan(logged("logreg").files | {"serving_input_example.json": broken}, "iris", 1)


def test_files_outside_of_the_folder_are_refused(logged):
    with pytest.raises(ModelError, match="outside"):
        load_plan(logged("custom").files | {"../escape": b""}, "shop", 1, trusted=True)


def test_a_library_that_is_missing_is_named(logged):
    """A flavour's own library, or one that its own code imports: the flavour module of mlflow does not load without it."""
    files = logged("custom").files
    described = files["MLmodel"].replace(b"loader_module: mlflow.pyfunc.model", b"loader_module: no_such_library.flavour")
    assert described != files["MLmodel"]
    with pytest.raises(ModelError, match="needs the library no_such_library") as raised:
        load_plan(files | {"MLmodel": described}, "shop", 1, trusted=True)
    assert "requirements.txt" in raised.value.remedy


def test_a_pyfunc_model_leaves_no_file(logged):
    """Its files live in memory while it loads, then nowhere."""
    load_plan(logged("custom").files, "shop", 1, trusted=True)
    assert list(scratch.root().glob(f"samovar-model-{os.getpid()}-*")) == []


def test_a_spaced_name_is_quoted_in_the_command(logged):
    with pytest.raises(Untrusted, match="samovar trust 'a b/1'"):
        load_plan(logged("cloudpickle").files, "a b", 1)


LOOP = {"mlflow", "polars", "sqlalchemy", "fastapi", "pydantic", "optuna"}
MODELS = {"sklearn", "pandas", "scipy", "skops", "joblib", "pyarrow"}


@pytest.mark.parametrize(("compiled", "strangers"), [(True, LOOP | MODELS), (False, LOOP)])
def test_an_engine_loads_only_what_it_needs(logged, tmp_path, compiled, strangers):
    """A worker of a compiled model loads no library of models; one of a native model neither mlflow nor anything of the loop."""
    path = tmp_path / "plan"
    plan = load_plan(logged("boosting").files, "shop", 1, compile=compiled)
    assert plan.engine == ("compiled" if compiled else "sklearn")
    path.write_bytes(plans.encode(plan))
    program = """
import sys
from pathlib import Path
from samovar.scoring import plan, probe
from samovar.scoring.engine import open_engine
loaded = plan.decode(Path(sys.argv[1]).read_bytes())
probe.check(loaded, open_engine(loaded))
print(sorted(set(sys.argv[2:]) & set(sys.modules)))
"""
    command = [sys.executable, "-c", program, str(path), *sorted(strangers)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_compiled_plan_carries_no_model_file(logged):
    """The program is all of it: nothing that could run code, or need scikit-learn, travels to the worker."""
    plan = load_plan(logged("boosting").files, "shop", 1)
    assert (plan.engine, plan.files, plan.model_file) == ("compiled", {}, "")
    assert "own answers on" in plan.notes


def test_what_is_not_compiled_says_why(logged):
    for name, why in (("bare", "without a signature"), ("custom", "pyfunc answers")):
        plan = load_plan(logged(name).files, name, 1, trusted=True)
        assert plan.engine != "compiled"
        assert why in plan.notes


def test_a_compiler_that_fails_costs_only_speed(logged, monkeypatch):
    """Whatever goes wrong in the compiler, the native model serves."""
    from samovar.scoring import lowering

    monkeypatch.setattr(lowering, "compile_model", lambda *_, **__: 1 // 0)
    plan = load_plan(logged("logreg").files, "iris", 1)
    assert plan.engine == "sklearn"
    assert "ZeroDivisionError" in plan.notes
    open_engine(plan)


def test_a_lowered_model_that_answers_otherwise_is_not_used(logged, monkeypatch):
    """The twin of exactness: a compiler that gets one number of a table wrong does not reach an endpoint."""
    from samovar.scoring import lowering
    from samovar.scoring.ops.base import Array

    right = lowering.compile_model

    def wrong(model, columns, **options):
        program = right(model, columns, **options)
        first = program.nodes[0]
        name = next(name for name in first.__struct_fields__ if isinstance(getattr(first, name), Array))
        table = getattr(first, name).open().copy()
        table.flat[0] *= 1.00001
        assert table.flat[0]
        return msgspec.structs.replace(
            program, nodes=(msgspec.structs.replace(first, **{name: Array.of(table)}), *program.nodes[1:])
        )

    monkeypatch.setattr(lowering, "compile_model", wrong)
    plan = load_plan(logged("logreg").files, "iris", 1)
    assert plan.engine == "sklearn"
    assert "differently" in plan.notes


def test_models_of_many_names_are_classified(tmp_path):
    """A scikit-learn model that brings code files is left to mlflow's pyfunc, and needs trust."""
    code = tmp_path / "extra.py"
    code.write_text("VALUE = 1\n")
    from mlflow import sklearn

    folder = tmp_path / "model"
    model = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    sklearn.save_model(model, folder, code_paths=[str(code)], pip_requirements=[])
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(Untrusted):
        load_plan(files, "shop", 1)
    plan = load_plan(files, "shop", 1, trusted=True)
    assert plan.engine == "pyfunc"
    expected = mlflow.pyfunc.load_model(str(folder)).predict([[0.2], [0.9]]).tolist()
    assert open_engine(plan).invoke(Call("inputs", [[0.2], [0.9]])) == expected


@pytest.mark.parametrize(("flavor", "model"), [("xgboost", "XGBClassifier"), ("lightgbm", "LGBMRegressor"), ("xgboost", "Booster")])
def test_boosters_logged_in_their_own_flavor_compile(tmp_path, flavor, model):
    """The worker then needs neither the library nor mlflow."""
    library, saver = importlib.import_module(flavor), importlib.import_module(f"mlflow.{flavor}")
    frame, target = load_iris(return_X_y=True, as_frame=True)
    if model == "Booster":
        fitted = library.train({"objective": "reg:squarederror"}, library.DMatrix(frame, target), num_boost_round=15)
        answers = fitted.predict(library.DMatrix(frame))
    else:
        fitted = getattr(library, model)(n_estimators=15).fit(frame, target)
        answers = fitted.predict(frame)
    saver.save_model(fitted, tmp_path / "model", signature=infer_signature(frame, answers), pip_requirements=[])
    files = {path.relative_to(tmp_path / "model").as_posix(): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    plan = load_plan(files, "flowers", 1, trusted=True)
    assert plan.engine == "compiled", plan.notes
    assert plan.files == {}
    given = open_engine(plan).predict([frame[name].tolist() for name in frame])
    assert given == pytest.approx(answers.tolist(), rel=1e-6)
