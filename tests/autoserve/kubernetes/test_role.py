"""The role in deploy/ allows exactly what the runtime asks for: nothing is refused, and nothing is granted for nobody."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import kubernetes_validate
import yaml

from samovar.autoserve.plan import Key
from samovar.autoserve.runtimes.kubernetes.cluster import connect
from samovar.autoserve.runtimes.kubernetes.lease import ClusterPlace
from samovar.autoserve.tuning import Tuning

ROLE = Path(__file__).parents[3] / "deploy" / "kubernetes" / "role.yaml"
KEY = Key("iris", "Production")


def documents():
    return list(yaml.safe_load_all(ROLE.read_text()))


def granted():
    rules = next(one for one in documents() if one["kind"] == "Role")["rules"]
    return {(rule["apiGroups"][0], plural, verb) for rule in rules for plural in rule["resources"] for verb in rule["verbs"]}


def asked(requests):
    """What the API server would check: group, resource and verb of each request."""
    found = set()
    for method, path in requests:
        parts = path.strip("/").split("/")
        group = parts[1] if parts[0] == "apis" else ""
        plural, *name = parts[parts.index("namespaces") + 2 :]
        verbs = {"GET": {"get" if name else "list"}, "DELETE": {"delete"}, "POST": {"create"}, "PATCH": {"patch", "create"}}[method]
        found |= {(group, plural, verb) for verb in verbs}
    return found


def test_every_document_is_one_that_kubernetes_knows():
    for one in documents():
        kubernetes_validate.validate(one, "1.34", strict=True)


def test_the_role_is_what_the_runtime_asks_for(fake, make_runtime, placement, eventually):
    runtime = make_runtime(dataclasses.replace(placement, max_replicas=9))
    fake.frozen.add(2)
    for version in (1, 2):
        runtime.bring(KEY, version, wished=lambda: True)
    runtime.cancel(KEY)
    runtime.tune(KEY, Tuning(workers=2))
    runtime.tune(KEY, Tuning(workers=9))
    runtime.endpoints()
    runtime.stop(KEY)
    cluster = connect(fake.url, placement.namespace)
    lease = ClusterPlace(cluster).take("controller", "host:1:2", 15.0, None)
    assert ClusterPlace(cluster).renew(lease)
    assert granted() == asked(fake.requests) | {("apps", "deployments", "watch")}
    cluster.close()
