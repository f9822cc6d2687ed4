"""A runtime on an API of Kubernetes that runs in this process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from samovar.autoserve.runtimes.kubernetes.cluster import connect
from samovar.autoserve.runtimes.kubernetes.placement import Placement
from samovar.autoserve.runtimes.kubernetes.runtime import KubernetesRuntime
from samovar.registry.client import Version

sys.path.insert(0, str(Path(__file__).parent))

from fake_api import FakeKubernetes

PLACEMENT = Placement(
    namespace="models", image="registry.example/samovar:1", tracking_uri="http://mlflow:5000", gateway="infra/web"
)


def registered(model, version):
    """A version as the registry would say it."""
    return Version(model, version, run_id=f"run-{version}", source=f"models:/m-{version}", created_ms=version)


@pytest.fixture
def fake():
    """The API."""
    fake = FakeKubernetes()
    yield fake
    fake.close()


@pytest.fixture
def make_runtime(fake):
    """Make runtimes of further controllers."""
    made = []

    def make(placement=PLACEMENT, epoch=1, trusted=()):
        cluster = connect(fake.url, placement.namespace)
        made.append(cluster)
        runtime = KubernetesRuntime(cluster, placement, registered, lambda model, version: (model, version) in trusted)
        runtime.epoch = epoch
        return runtime

    yield make
    for cluster in made:
        cluster.close()


@pytest.fixture
def runtime(make_runtime):
    """The runtime."""
    return make_runtime()


@pytest.fixture
def placement():
    """Where endpoints stand."""
    return PLACEMENT
