"""Runtimes under the contract suite."""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import samovar_cluster_harness as cluster
import samovar_docker_harness as docker
import samovar_kubernetes_harness as kubernetes
import samovar_process_harness as process

from samovar.autoserve.plan import Key

HARNESSES = {"process": process.make, "docker": docker.make, "kubernetes": kubernetes.make, "cluster": cluster.make}
RUNTIMES = ["process", "docker", pytest.param("kubernetes", marks=pytest.mark.e2e)]
if "SAMOVAR_TEST_NAMESPACE" in os.environ:  # deploy/kubernetes/prove.sh has made one on a real cluster
    RUNTIMES = ["cluster"]
_numbers = itertools.count(1)


@pytest.fixture(scope="module", params=RUNTIMES)
def harness(request, logged_model, mlflow_server, tmp_path_factory):
    """A runtime's world, made once for all tests of a module."""
    made = HARNESSES[request.param](logged_model, mlflow_server, tmp_path_factory.mktemp(request.param))
    yield made
    made.close()


@pytest.fixture
def runtime(harness):
    return harness.runtime()


@pytest.fixture
def key(harness, logged_model):
    """An endpoint of this test's own; ended afterwards."""
    key = Key(logged_model, f"T{next(_numbers)}")
    yield key
    harness.runtime().stop(key)
