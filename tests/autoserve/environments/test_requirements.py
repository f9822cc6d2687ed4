"""Which differences between a model's libraries and this host's matter."""

from __future__ import annotations

import pytest

from samovar.autoserve.environments import requirements

HOST = {"scikit-learn": "1.9.1", "numpy": "2.4.0", "pandas": "3.1.0", "xgboost": "3.2.0", "matplotlib": "3.10.1", "glaze": "1.2.3"}
SKLEARN = b"flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n"
CODE = b"flavors:\n  python_function:\n    loader_module: mlflow.pyfunc.model\n"
BROUGHT = SKLEARN + b"    code: code\n"


def differences(text, mlmodel=SKLEARN):
    asked = requirements.read({"requirements.txt": text.encode(), "MLmodel": mlmodel})
    return requirements.differences(asked, HOST.get)


@pytest.mark.parametrize(
    "text",
    [
        "scikit-learn==1.9.1",
        "scikit_learn==1.9.1\nnumpy==2.1.7\npandas==3.0.0",
        "mlflow==2.0.0\nscikit-learn",
        "matplotlib==3.9.0",
        "scikit-learn>=1.8,<2",
        "# scikit-learn==1.0\n\nnumpy==2.4.0  # a remark",
        "tensorflow==2.0; python_version < '3'",
        "--extra-index-url https://example.org/simple\nnumpy==2.4.0",
    ],
)
def test_what_does_not_change_the_model_runs_here(text):
    """The same library, patches of libraries beside it, and what the model's file never meant for this host."""
    assert differences(text) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("scikit-learn==1.9.0", "scikit-learn==1.9.0 (here 1.9.1)"),
        ("numpy==1.26.4", "numpy==1.26.4 (here 2.4.0)"),
        ("matplotlib>=4", "matplotlib>=4 (here 3.10.1)"),
        ("scikit-learn==1.9.1\ntorch==2.1", "torch is not on this host"),
        ("./wheels/own.whl", "./wheels/own.whl is not on this host"),
        ("glaze @ https://example.org/glaze.whl", "glaze from elsewhere (here 1.2.3)"),
    ],
)
def test_what_reads_the_model_or_is_missing_does_not(text, said):
    assert differences(text) == (said,)


@pytest.mark.parametrize("mlmodel", [CODE, BROUGHT, b"", b"{["])
def test_a_model_with_code_of_its_own_means_every_pin(mlmodel):
    """But not the libraries that keep their promises within a major version."""
    assert differences("glaze==1.2.2", mlmodel) == ("glaze==1.2.2 (here 1.2.3)",)
    assert differences("glaze==1.2.3\nnumpy==2.0.0", mlmodel) == ()
    assert differences("glaze==1.2.2", SKLEARN) == ()


def test_a_conda_file_says_it_too():
    conda = b"dependencies:\n- python=3.11\n- pip<=24\n- pip:\n  - mlflow==3.17.2\n  - scikit-learn==1.8.0\n"
    asked = requirements.read({"conda.yaml": conda, "MLmodel": SKLEARN})
    assert requirements.differences(asked, HOST.get) == ("scikit-learn==1.8.0 (here 1.9.1)",)


def test_a_model_that_says_nothing_runs_here():
    assert requirements.read({"MLmodel": SKLEARN}) is None
    assert requirements.read({"requirements.txt": b"# nothing\n"}) is None


def test_an_environment_is_named_by_what_goes_into_it():
    """Order, spelling and remarks do not count; a version does."""

    def name(text, *host):
        return requirements.digest(requirements.read({"requirements.txt": text}), *host)

    assert name(b"Scikit_Learn==1.8\nglaze==1.0") == name(b"glaze == 1.0  # sugar\nscikit-learn==1.8\nmlflow==3.1")
    assert name(b"glaze==1.0") != name(b"glaze==1.1")
    assert name(b"glaze==1.0", "3.11") != name(b"glaze==1.0", "3.12")
