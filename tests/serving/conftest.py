"""Endpoints on real sockets: a server in a thread, a client beside it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
import sys
import threading
from dataclasses import dataclass
from typing import Any

import cloudpickle
import httpx
import msgspec
import numpy as np
import pandas as pd
import pytest
import skops.io
import uvloop
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from samovar.contracts import document
from samovar.contracts.spec import AnswerField, ContractSpec, FieldSpec, ModelContract, ResponseSpec
from samovar.scoring.load import load_plan
from samovar.serving.server import EndpointConfig, EndpointServer

CONTRACT = ModelContract(
    contract=ContractSpec(
        "Payment",
        (
            FieldSpec("transaction_id", "str", role="key"),
            FieldSpec("amount", "float", gt=0),
            FieldSpec("hour", "int", ge=0, le=23),
            FieldSpec("channel", "str", choices=("web", "shop")),
        ),
    ),
    response=ResponseSpec(
        "Verdict",
        (
            AnswerField("transaction_id", "str", "echo", of="transaction_id"),
            AnswerField("is_fraud", "bool", "decision"),
            AnswerField("fraud_probability", "float", "probability"),
            AnswerField("confidence", "float", "confidence"),
            AnswerField("model_version", "str", "model_version"),
            AnswerField("prediction_time", "datetime", "prediction_time"),
        ),
    ),
    project="fraud",
    classes=(0, 1),
    positive=1,
    threshold=0.2,
)

ROW = {"transaction_id": "t-1", "amount": 120.0, "hour": 3, "channel": "web"}


def payments(rows=300):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"amount": rng.gamma(2, 60, rows), "hour": rng.integers(0, 24, rows), "channel": rng.choice(["web", "shop"], rows)}
    )
    return frame, (frame["amount"] + 20 * (frame["channel"] == "web") + rng.normal(0, 40, rows) > 200).astype(int)


class Failing(ClassifierMixin, BaseEstimator):
    """Fits, and fails at prediction when the hour is 13 (the example's is not)."""

    def fit(self, frame, target):
        self.classes_ = np.unique(target)
        return self

    def predict(self, frame):
        if (frame["hour"] == 13).any():
            raise RuntimeError("SECRET-INTERNAL")
        return np.zeros(len(frame), dtype=int)


class Slow(ClassifierMixin, BaseEstimator):
    """Waits at hour 13 until the test lets it go on."""

    def fit(self, frame, target):
        self.classes_ = np.unique(target)
        return self

    def predict(self, frame):
        if (frame["hour"] == 13).any():
            gates = sys.modules["samovar"].__dict__["_test_gates"]
            gates.entered.set()
            assert gates.go.wait(20)
        return np.zeros(len(frame), dtype=int)


@dataclass
class Gates:
    """A plan whose model waits, and the events between it and the test."""

    plan: Any
    entered: threading.Event
    go: threading.Event


def fitted():
    frame, target = payments()
    columns = make_column_transformer((OneHotEncoder(), ["channel"]), remainder="passthrough")
    return make_pipeline(columns, LogisticRegression(max_iter=2000)).fit(frame, target)


def folder(model, *, pickled=False, signature=True, contract=CONTRACT):
    """The files that a registry hands out."""
    columns = [("amount", "double"), ("hour", "long"), ("channel", "string")]
    inputs = [{"name": name, "type": kind, "required": True} for name, kind in columns]
    example = {"columns": ["amount", "hour", "channel"], "data": [[20.0, 1, "web"], [300.0, 23, "shop"]]}
    flavor = {"pickled_model": "model.bin", "serialization_format": "cloudpickle" if pickled else "skops"}
    mlmodel: dict[str, Any] = {
        "flavors": {"python_function": {"loader_module": "mlflow.sklearn", "predict_fn": "predict"}, "sklearn": flavor}
    }
    files = {"model.bin": _pickle(model) if pickled else skops.io.dumps(model)}
    if signature:
        mlmodel["signature"] = {"inputs": msgspec.json.encode(inputs).decode()}
        mlmodel["saved_input_example_info"] = {"artifact_path": "input_example.json"}
        files["input_example.json"] = msgspec.json.encode(example)
        files |= {document.PATH: document.dump(contract)} if contract else {}
    return files | {"MLmodel": msgspec.json.encode(mlmodel)}


def _pickle(model):
    buffer = io.BytesIO()
    cloudpickle.dump(model, buffer)
    return buffer.getvalue()


@dataclass
class Endpoint:
    """A running server; ``client`` talks to it, ``leave`` drains it and waits."""

    server: EndpointServer
    thread: threading.Thread
    client: httpx.Client
    port: int

    def leave(self, timeout=15.0):
        self.server.drain()
        self.thread.join(timeout)
        assert not self.thread.is_alive(), "the server did not leave"


def listening():
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def start(plan, listener, **options):
    """Serve a plan in a thread; returns when it accepts."""
    server = EndpointServer(plan, EndpointConfig(model=plan.model, alias="Production", **options))
    server.load()
    accepting = threading.Event()

    def run():
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(server.serve(listener, on_accepting=accepting.set))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert accepting.wait(20)
    return server, thread


@pytest.fixture(scope="session")
def plans():
    """Plans by name, built once; ``slow`` and ``failing`` are trusted pickles."""
    files = {
        "payments": folder(fitted()),
        "elsewhere": folder(fitted(), contract=None),
        "bare": folder(fitted(), signature=False),
        "failing": folder(Failing().fit(*payments()), pickled=True, contract=None),
    }
    return {name: load_plan(these, name, 3, run_id="run", label="1.4.0", trusted=True) for name, these in files.items()}


@pytest.fixture
def slow(monkeypatch):
    """A model that waits for the test at hour 13."""
    gates = Gates(None, threading.Event(), threading.Event())
    # The model travels as a pickle by value: it finds its gates where any module can be found.
    monkeypatch.setattr(sys.modules["samovar"], "_test_gates", gates, raising=False)
    gates.plan = load_plan(folder(Slow().fit(*payments()), pickled=True, contract=None), "slow", 1, trusted=True)
    yield gates
    gates.go.set()


@pytest.fixture
def serve():
    """Return a function that serves a plan and cleans up afterwards."""
    with contextlib.ExitStack() as stack:

        def run(plan, *, listener=None, **options):
            listener = listener or listening()
            port = listener.getsockname()[1]
            server, thread = start(plan, listener, **options)
            client = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False))
            endpoint = Endpoint(server, thread, client, port)
            stack.callback(endpoint.leave)
            stack.callback(client.close)
            return endpoint

        yield run


@pytest.fixture(scope="module")
def serve_all_along():
    """Return a function that serves a plan until the module's tests are done; gives a client."""
    with contextlib.ExitStack() as stack:

        def run(plan, **options):
            listener = listening()
            port = listener.getsockname()[1]
            server, thread = start(plan, listener, **options)
            client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False)
            stack.callback(Endpoint(server, thread, client, port).leave)
            return stack.enter_context(client)

        yield run


@pytest.fixture(scope="module")
def payments_endpoint(plans):
    """One endpoint for a module's tests that only ask."""
    listener = listening()
    port = listener.getsockname()[1]
    server, thread = start(plans["payments"], listener, body_limit=200_000, drain_seconds=2)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False) as client:
        yield Endpoint(server, thread, client, port)
    server.drain()
    thread.join(15)
