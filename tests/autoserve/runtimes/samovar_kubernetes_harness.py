"""The Kubernetes runtime under the contract suite: the API is a stand-in, but its pods are real endpoints, each a process.

What a cluster does with a Deployment is done here in small: pods of a new template start beside the old ones, are asked whether
they are ready, take over when all are, and the old ones are told to leave; a pod that ends is started again.
"""

from __future__ import annotations

import copy
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "kubernetes"))

from fake_api import FakeKubernetes
from samovar_harness import Harness

from samovar.autoserve.naming import endpoint_name
from samovar.autoserve.runtimes.kubernetes import manifests
from samovar.autoserve.runtimes.kubernetes.cluster import connect
from samovar.autoserve.runtimes.kubernetes.manifests import Offer
from samovar.autoserve.runtimes.kubernetes.placement import Placement
from samovar.autoserve.runtimes.kubernetes.runtime import KubernetesRuntime
from samovar.registry.client import Registry

HEARD = 0.5
"""Seconds between a pod's leaving its Service and its notice to leave: what ``preStop`` is for."""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Pod:
    """One container as a process."""

    def __init__(self, name, replica_set, template, folder):
        self.name, self.replica_set, self.template = name, replica_set, template
        self.folder = folder / name
        self.folder.mkdir()
        self.restarts, self.ready, self.ended = 0, False, None
        self.start()

    @property
    def container(self):
        return self.template["spec"]["containers"][0]

    def start(self):
        self.port = free_port()
        told = {one["name"]: one["value"] for one in self.container["env"]}
        (mounted,) = [one["mountPath"] for one in self.container["volumeMounts"]]
        told = {name: str(self.folder) if value == mounted else value for name, value in told.items()}
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("SAMOVAR_", "MLFLOW_"))}
        command = [sys.executable, "-m", "samovar.autoserve.standalone", *self.container["args"]]
        self.log = self.folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, env=environment | told | {"SAMOVAR_PORT": str(self.port)}, cwd=self.folder, stdout=log, stderr=log
            )

    def look(self):
        """See how it is; start it again when it ended."""
        code = self.process.poll()
        if code is not None:
            words = self.log.read_text().strip()
            self.ended = {"terminated": {"exitCode": code, "message": words[-2000:]}}
            self.restarts += 1
            self.ready = False
            if self.restarts < 3:
                self.start()
            return
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", self.container["readinessProbe"]["httpGet"]["path"])
            self.ready = connection.getresponse().status == 200
        except OSError:
            self.ready = False
        finally:
            connection.close()

    def status(self):
        plain = {"name": "endpoint", "image": "i", "imageID": "d", "ready": self.ready, "restartCount": self.restarts}
        if self.process.poll() is not None:
            return plain | {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": self.ended}
        return plain | {"state": {"running": {}}, "lastState": self.ended or {}}

    def leave(self):
        """Be told to leave once every router has heard."""
        threading.Timer(HEARD, self.process.send_signal, (signal.SIGTERM,)).start()


class LivingKubernetes(FakeKubernetes):
    """A cluster whose pods live."""

    def __init__(self, folder):
        self.folder = folder
        self.pods = {}
        self.left = []
        self._numbers = iter(range(1_000_000))
        self._stop = threading.Event()
        super().__init__()
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def close(self):
        self._stop.set()
        self._thread.join()
        for pod in [*self.pods.values(), *self.left]:
            if pod.process.poll() is None:
                pod.process.kill()
            pod.process.wait()
        super().close()

    def ports(self, name):
        """The Service: where an endpoint's ready pods answer."""
        with self.lock:
            return [pod.port for pod in self.pods.values() if pod.replica_set.rpartition("-")[0] == name and pod.ready]

    def _roll(self, name):
        """See ``_live``: nothing happens at once."""

    def delete(self, kind, name):
        with self.lock:
            found = super().delete(kind, name)
            if kind == "Deployment":
                self._end([pod for pod in self.pods.values() if pod.replica_set.rpartition("-")[0] == name])
            return found

    def _live(self):
        while not self._stop.wait(0.05):
            for pod in list(self.pods.values()):
                pod.look()
            with self.lock:
                for kind, name in list(self.objects):
                    if kind == "Deployment":
                        self._converge(name)

    def _converge(self, name):
        deployment = self.objects["Deployment", name]
        template, count = deployment["spec"]["template"], deployment["spec"].get("replicas", 1)
        own = f"{name}-{self._hash(template)}"
        mine = [pod for pod in self.pods.values() if pod.replica_set == own]
        for _ in range(count - len(mine)):
            pod = Pod(f"{own}-{next(self._numbers)}", own, template, self.folder)
            self.pods[pod.name] = pod
        self._end(mine[count:])
        mine = [pod for pod in self.pods.values() if pod.replica_set == own]
        others = [pod for pod in self.pods.values() if pod.replica_set.rpartition("-")[0] == name and pod.replica_set != own]
        done = sum(pod.ready for pod in mine) == count
        if done:
            self._end(others)
        self._write(name, deployment, done=done or (not others and self._was_done(deployment)))

    def _was_done(self, deployment):
        status = deployment.get("status") or {}
        return (
            status.get("observedGeneration") == deployment["metadata"]["generation"]
            and status["conditions"][0]["reason"] == "NewReplicaSetAvailable"
        )

    def _end(self, pods):
        for pod in pods:
            del self.pods[pod.name]
            self.left.append(pod)
            pod.leave()

    def _write(self, name, deployment, *, done):
        """Write what is seen where it is looked for."""
        for key in [key for key, one in self.objects.items() if one["metadata"].get("generateName") == name]:
            del self.objects[key]
        pods = [pod for pod in self.pods.values() if pod.replica_set.rpartition("-")[0] == name]
        for own in {pod.replica_set for pod in pods}:
            template = next(pod.template for pod in pods if pod.replica_set == own)
            ready = sum(pod.ready for pod in pods if pod.replica_set == own)
            sets = {"selector": deployment["spec"]["selector"], "template": template}
            self._child("ReplicaSet", own, name, template, {"replicas": ready, "readyReplicas": ready}, sets)
        for pod in pods:
            self._child("Pod", pod.name, name, pod.template, {"containerStatuses": [pod.status()]}, pod.template["spec"])
        progress = {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable" if done else "ReplicaSetUpdated"}
        status = {"observedGeneration": deployment["metadata"]["generation"], "conditions": [progress]}
        if deployment.get("status") != status:
            self._store(("Deployment", name), copy.deepcopy(deployment) | {"status": status}, "MODIFIED")


class KubernetesHarness(Harness):
    def __init__(self, model, tracking_uri, folder):
        super().__init__()
        self.registry = Registry(tracking_uri)
        self.cluster = LivingKubernetes(folder)
        self.placement = Placement(
            namespace="models", image="samovar", tracking_uri=tracking_uri, open_to_all=True, drain_seconds=5
        )
        self.connections = []

    def made(self, epoch):
        connection = connect(self.cluster.url, self.placement.namespace)
        self.connections.append(connection)
        runtime = KubernetesRuntime(connection, self.placement, self.registry.version, lambda _model, _version: True)
        runtime.epoch = epoch
        return runtime

    def ask(self, state, path="/version", body=None):
        """Through the Service, as a client in the cluster would."""
        deadline = time.monotonic() + 10
        while not (ports := self.cluster.ports(endpoint_name(state.model, state.alias))):
            assert time.monotonic() < deadline, "no pod is ready"
            time.sleep(0.05)
        request = urllib.request.Request(f"http://127.0.0.1:{ports[-1]}{path}", body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def workers(self, state):
        return len(self.cluster.ports(endpoint_name(state.model, state.alias)))

    def stranger(self, key):
        placement = Placement(namespace="models", image="samovar", tracking_uri="", instance="another")
        made = manifests.deployment(Offer(key, 1, "v1", "o"), placement, epoch=1)
        made["spec"]["replicas"] = 0
        self.cluster.put(made)
        return lambda: self.cluster.get("Deployment", endpoint_name(*key)) is not None

    def close(self):
        for connection in self.connections:
            connection.close()
        self.registry.close()
        self.cluster.close()


make = KubernetesHarness
