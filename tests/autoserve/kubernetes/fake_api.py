"""The Kubernetes API in one process: its schema, server-side apply, conflicts, watches, and controllers that roll Deployments.

It stands in for what cannot run here. What it enforces is what the real one enforces and the runtime rests on: each object's schema
(from Kubernetes' own OpenAPI), field ownership, optimistic locking, paged lists, 404/409/410/422, watches from a version on.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import queue
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import kubernetes_validate

SCHEMA = "1.34"
PLURALS = {
    "deployments": ("apps/v1", "Deployment"),
    "replicasets": ("apps/v1", "ReplicaSet"),
    "pods": ("v1", "Pod"),
    "services": ("v1", "Service"),
    "poddisruptionbudgets": ("policy/v1", "PodDisruptionBudget"),
    "horizontalpodautoscalers": ("autoscaling/v2", "HorizontalPodAutoscaler"),
    "httproutes": ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    "leases": ("coordination.k8s.io/v1", "Lease"),
}


class Refused(Exception):
    """A status other than 200."""

    def __init__(self, code, reason, message):
        super().__init__(message)
        self.code, self.reason = code, reason

    def body(self):
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "code": self.code,
            "reason": self.reason,
            "message": str(self),
        }


class FakeKubernetes:
    """A namespace's objects, and what a cluster does with them. Versions in ``broken`` never get ready."""

    def __init__(self, *, gateway=True):
        self.gateway = gateway
        self.objects = {}
        self.owners = {}  # object -> {leaf path: manager}
        self.broken = {}
        self.restarts, self.exit_code = 3, 1
        self.frozen = set()  # versions whose pods stay as they are: neither ready nor dead
        self.requests = []
        self.failing = []  # statuses that the next requests get instead of an answer
        self._version = 100
        self._forgotten = 0  # watches from before this version are Gone
        self._watchers = []
        self.lock = threading.RLock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self):
        self.end_watches()
        self.server.shutdown()
        self.server.server_close()

    # --- what tests do ---------------------------------------------------------------------------------------------------------

    def get(self, kind, name):
        return self.objects.get((kind, name))

    def names(self, kind):
        return {name for known, name in self.objects if known == kind}

    def put(self, manifest, manager="kubectl"):
        """Apply as somebody else."""
        return self.apply(manifest["kind"], manifest["metadata"]["name"], manifest, manager, force=True)

    def end_watches(self, *, forget=False):
        with self.lock:
            watchers, self._watchers = self._watchers, []
            if forget:
                self._forgotten = self._version
            for _, one in watchers:
                one.put(None)

    def settle(self, version):
        """Let a frozen version's pods get ready."""
        self.frozen.discard(version)
        with self.lock:
            for kind, name in list(self.objects):
                if kind == "Deployment":
                    self._roll(name)

    # --- writing ---------------------------------------------------------------------------------------------------------------

    def apply(self, kind, name, manifest, manager, *, force):
        with self.lock:
            key = (kind, name)
            self._check(kind, manifest)
            before = self.objects.get(key)
            expected = manifest["metadata"].pop("resourceVersion", None)
            if expected and (before is None or before["metadata"]["resourceVersion"] != expected):
                raise Refused(409, "Conflict", f"the object {name} has been modified")
            owners = self.owners.setdefault(key, {})
            said = dict(_leaves(manifest))
            after = copy.deepcopy(before) if before is not None else {"metadata": {}}
            for path, value in said.items():
                rival = owners.get(path)
                if rival not in (None, manager) and _at(after, path) != value and not force:
                    raise Refused(409, "Conflict", f"conflict with {rival!r}: .{'.'.join(map(str, path))}")
                owners[path] = manager
                _set(after, path, value)
            for path in [path for path, owner in owners.items() if owner == manager and path not in said]:
                _unset(after, path)
                del owners[path]
            changed = before is None or _meaning(after) != _meaning(before)
            if changed:
                if before is None or after.get("spec") != before.get("spec"):
                    after["metadata"]["generation"] = after["metadata"].get("generation", 0) + 1
                self._store(key, after, "ADDED" if before is None else "MODIFIED")
                if kind == "Deployment":
                    self._roll(name)
            return self.objects[key]

    def delete(self, kind, name):
        with self.lock:
            found = self.objects.pop((kind, name), None)
            if found is None:
                raise Refused(404, "NotFound", f'{kind} "{name}" not found')
            self.owners.pop((kind, name), None)
            self._tell("DELETED", found)
            if kind == "Deployment":
                for child in [key for key, one in self.objects.items() if one["metadata"].get("generateName") == name]:
                    self._tell("DELETED", self.objects.pop(child))
            return found

    def _check(self, kind, manifest):
        if kind == "HTTPRoute":  # a custom resource: its schema is not Kubernetes' own
            return
        try:
            kubernetes_validate.validate(manifest, SCHEMA, strict=True)
        except kubernetes_validate.ValidationError as error:
            raise Refused(422, "Invalid", f"{kind} is invalid: {error.message}") from None

    def _store(self, key, found, event):
        self._version += 1
        found["metadata"]["resourceVersion"] = str(self._version)
        self.objects[key] = found
        self._tell(event, found)

    def _tell(self, event, found):
        for kind, one in self._watchers:
            if kind == found["kind"]:
                one.put({"type": event, "object": copy.deepcopy(found)})

    # --- what a cluster does with a Deployment -----------------------------------------------------------------------------------

    def _roll(self, name):
        deployment = self.objects["Deployment", name]
        template = deployment["spec"]["template"]
        own = f"{name}-{self._hash(template)}"
        version = int(template["metadata"]["labels"]["version"])
        count = deployment["spec"].get("replicas", 1)
        ready = version not in self.broken and version not in self.frozen
        if ready:
            for child in [
                key for key, one in self.objects.items() if one["metadata"].get("generateName") == name and key[1] != own
            ]:
                self.objects.pop(child)
        sets = {"selector": deployment["spec"]["selector"], "template": template, "replicas": count}
        self._child("ReplicaSet", own, name, template, {"replicas": count, "readyReplicas": count if ready else 0}, sets)
        for number in range(count if ready else 1):
            status = {"containerStatuses": [self._container(version, ready=ready)]}
            self._child("Pod", f"{own}-{number}", name, template, status, template["spec"])
        for child in [key for key in self.objects if key[0] == "ReplicaSet" and key[1] != own and key[1].startswith(f"{name}-")]:
            if self.objects[child]["status"]["readyReplicas"] == 0:  # a roll-out that was taken back
                self._drop(child[1])
        progress = {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable" if ready else "ReplicaSetUpdated"}
        deployment = copy.deepcopy(deployment)
        deployment["status"] = {"observedGeneration": deployment["metadata"]["generation"], "conditions": [progress]}
        self._store(("Deployment", name), deployment, "MODIFIED")

    @staticmethod
    def _hash(template):
        return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:8]

    def _drop(self, replica_set):
        for child in [key for key in self.objects if key[0] in {"ReplicaSet", "Pod"} and key[1].startswith(replica_set)]:
            del self.objects[child]

    def _child(self, kind, name, deployment, template, status, spec):
        labels = template["metadata"]["labels"]
        metadata = {"name": name, "labels": labels, "annotations": template["metadata"]["annotations"], "generateName": deployment}
        api = "v1" if kind == "Pod" else "apps/v1"
        made = {"kind": kind, "apiVersion": api, "metadata": metadata, "spec": spec, "status": status}
        self._store((kind, name), made, "MODIFIED")

    def _container(self, version, *, ready):
        plain = {"name": "endpoint", "image": "i", "imageID": "d"}
        if version not in self.broken:
            return plain | {"ready": ready, "restartCount": 0, "state": {"running": {}}}
        ended = {"terminated": {"exitCode": self.exit_code, "message": f"starting\n{self.broken[version]}"}}
        waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
        return plain | {"ready": False, "restartCount": self.restarts, "state": waiting, "lastState": ended}

    # --- HTTP --------------------------------------------------------------------------------------------------------------------

    def answer(self, method, path, query, body, manager_query):
        if self.failing:
            raise Refused(self.failing.pop(0), "Injected", "as the test wishes")
        parts = path.strip("/").split("/")
        at = parts.index("namespaces") if "namespaces" in parts else -1
        plural = parts[at + 2] if at >= 0 else ""
        known = PLURALS.get(plural)
        if known is None or (plural == "httproutes" and not self.gateway):
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        name = parts[at + 3] if len(parts) > at + 3 else None
        api, kind = known
        if method == "GET" and name is None:
            return self._list(api, kind, query)
        if method == "GET":
            found = self.objects.get((kind, name))
            if found is None:
                raise Refused(404, "NotFound", f'{plural} "{name}" not found')
            return found
        if method == "DELETE":
            return self.delete(kind, name)
        if method == "POST":
            with self.lock:
                if (kind, body["metadata"]["name"]) in self.objects:
                    raise Refused(409, "AlreadyExists", f'{plural} "{body["metadata"]["name"]}" already exists')
                return self.apply(kind, body["metadata"]["name"], body, query.get("fieldManager", "create"), force=False)
        return self.apply(kind, name, body, manager_query["fieldManager"], force=manager_query.get("force") == "true")

    def _list(self, api, kind, query):
        wanted = dict(pair.split("=") for pair in query.get("labelSelector", "").split(",") if pair)
        with self.lock:
            found = [
                one
                for (known, _), one in sorted(self.objects.items())
                if known == kind and wanted.items() <= one["metadata"].get("labels", {}).items()
            ]
        begin, limit = int(query.get("continue", 0) or 0), int(query.get("limit", 0) or 0) or len(found) or 1
        metadata = {"resourceVersion": str(self._version)}
        if begin + limit < len(found):
            metadata["continue"] = str(begin + limit)
        return {"kind": f"{kind}List", "apiVersion": api, "metadata": metadata, "items": found[begin : begin + limit]}

    def watch(self, kind, version):
        with self.lock:
            if version and int(version) < self._forgotten:
                return None
            events = queue.Queue()
            self._watchers.append((kind, events))
            return events

    def _handler(fake):  # noqa: N805 - the handler's own self is another
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _do(self):
                url = urllib.parse.urlsplit(self.path)
                query = dict(urllib.parse.parse_qsl(url.query))
                length = int(self.headers.get("content-length") or 0)
                body = json.loads(self.rfile.read(length) or b"{}")
                fake.requests.append((self.command, url.path))
                try:
                    if query.get("watch"):
                        return self._watch(url.path, query)
                    self._send(200, fake.answer(self.command, url.path, query, body, query))
                except Refused as refused:
                    self._send(refused.code, refused.body())
                return None

            do_GET = do_PATCH = do_POST = do_DELETE = _do  # noqa: N815 - names that the base class looks for

            def _send(self, code, found):
                content = json.dumps(found).encode()
                self.send_response(code)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def _watch(self, path, query):
                events = fake.watch(PLURALS[path.rpartition("/")[2]][1], query.get("resourceVersion"))
                if events is None:
                    raise Refused(410, "Expired", "too old resource version")
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("connection", "close")
                self.end_headers()
                with contextlib.suppress(OSError):  # who watched has left
                    while (event := events.get()) is not None:
                        self.wfile.write(json.dumps(event).encode() + b"\n")
                        self.wfile.flush()
                self.close_connection = True

            def log_message(self, *_):
                pass

        return Handler


def _leaves(thing, path=()):
    """What a manager says: its leaves. A list is one leaf, as most of ours are (the real ones merge some by key)."""
    if isinstance(thing, dict) and thing:
        for key, value in thing.items():
            yield from _leaves(value, (*path, key))
    else:
        yield path, thing


def _at(thing, path):
    for key in path:
        thing = thing.get(key, {}) if isinstance(thing, dict) else {}
    return thing


def _set(thing, path, value):
    for key in path[:-1]:
        thing = thing.setdefault(key, {})
    thing[path[-1]] = copy.deepcopy(value)


def _unset(thing, path):
    for key in path[:-1]:
        thing = thing.get(key, {})
    thing.pop(path[-1], None)


def _meaning(thing):
    metadata = {key: value for key, value in thing["metadata"].items() if key not in {"resourceVersion", "generation"}}
    return {"metadata": metadata, "spec": thing.get("spec")}
