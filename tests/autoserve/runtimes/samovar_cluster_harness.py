"""The Kubernetes runtime under the contract suite on a real cluster; `deploy/kubernetes/prove.sh` sets it up and runs it."""

from __future__ import annotations

import os
import re
import subprocess
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from samovar_docker_harness import Relay
from samovar_harness import Harness

from samovar.autoserve.naming import endpoint_name
from samovar.autoserve.runtimes.kubernetes import manifests
from samovar.autoserve.runtimes.kubernetes.cluster import connect
from samovar.autoserve.runtimes.kubernetes.manifests import Offer
from samovar.autoserve.runtimes.kubernetes.placement import Placement
from samovar.autoserve.runtimes.kubernetes.runtime import KubernetesRuntime
from samovar.registry.client import Registry


class ClusterHarness(Harness):
    seconds = 300.0

    def __init__(self, model, tracking_uri, folder):
        super().__init__()
        self.namespace = os.environ["SAMOVAR_TEST_NAMESPACE"]
        self.relay = Relay("0.0.0.0", urlsplit(tracking_uri).port)
        self.registry = Registry(tracking_uri)
        self.placement = Placement(
            namespace=self.namespace,
            image=os.environ["SAMOVAR_TEST_IMAGE"],
            tracking_uri=f"http://{os.environ['SAMOVAR_TEST_HOST']}:{self.relay.server_address[1]}",
            open_to_all=True,
            drain_seconds=10,
        )
        self.cluster = connect(os.environ.get("KUBECONFIG", ""), self.namespace)

    def made(self, epoch):
        runtime = KubernetesRuntime(self.cluster, self.placement, self.registry.version, lambda _model, _version: True)
        runtime.epoch = epoch
        return runtime

    def ask(self, state, path="/version", body=None):
        """Through a tunnel to the Service."""
        service = f"service/{endpoint_name(state.model, state.alias)}"
        command = ["kubectl", "--namespace", self.namespace, "port-forward", service, f":{manifests.PORT}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as tunnel:
            try:
                port = re.search(r"127\.0\.0\.1:(\d+)", tunnel.stdout.readline()).group(1)
                request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, {"Content-Type": "application/json"})
                with urllib.request.urlopen(request, timeout=10) as answer:
                    return answer.status, answer.read()
            except urllib.error.HTTPError as error:
                return error.code, error.read()
            finally:
                tunnel.terminate()

    def stranger(self, key):
        other = Placement(namespace=self.namespace, image=self.placement.image, tracking_uri="", instance="another")
        self.cluster.apply(manifests.deployment(Offer(key, 1, "v1", "o"), other, epoch=1))
        return lambda: self.cluster.get("Deployment", endpoint_name(*key)) is not None

    def close(self):
        self.registry.close()
        self.cluster.close()
        self.relay.shutdown()


make = ClusterHarness
