"""What the contract suite needs to know of a runtime beside the `Runtime` protocol itself.

To have another runtime tried, write a `Harness` for it and add it to `conftest.HARNESSES`.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
import urllib.error
import urllib.request

COLUMNS = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
BODY = json.dumps({"dataframe_split": {"columns": COLUMNS, "data": [[5.1, 3.5, 1.4, 0.2]]}}).encode()
GOOD, BETTER, BROKEN, SLOW = 1, 2, 3, 4
"""Versions that `scripts/log_versions.py` logs."""


class Harness:
    """One runtime in its world.

    Attributes:
        seconds: how long a version may take to serve here.
    """

    seconds = 60.0

    def __init__(self):
        self.epoch = 1

    def runtime(self):
        """Return the view of a controller that has just started, under the lease of now."""
        return self.made(self.epoch)

    def successor(self):
        """Return the view of a controller that has just taken the lease."""
        self.epoch += 1
        return self.made(self.epoch)

    def made(self, epoch):
        """Return a runtime that remembers nothing."""
        raise NotImplementedError

    def abandoned(self, key, version):
        """Order a version as a controller that is killed as soon as the order is taken."""
        asked = iter((True,))

        def wished():
            if next(asked, False):
                return True
            sys.exit()  # ends the thread, and nothing is tidied up

        with contextlib.suppress(SystemExit):
            self.runtime().bring(key, version, wished=wished)

    def ask(self, state, path="/version", body=None):
        """Ask an endpoint over a fresh connection; return the status and the body."""
        request = urllib.request.Request(f"http://{state.host}:{state.port}{path}", body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def version(self, state):
        """Return the version that answers."""
        status, body = self.ask(state)
        assert status == 200, body
        return json.loads(body)["version"]

    def workers(self, state):
        """Return how many worker processes an endpoint has; None where that cannot be seen."""

    def stranger(self, key):
        """Make something of a stranger's that looks like an endpoint, and return a function that says whether it is still there."""
        raise NotImplementedError

    def close(self):
        """Leave nothing behind."""


class Traffic:
    """Light load on an endpoint through a router that goes where ``endpoints`` says, as the gateway does; until the block ends."""

    def __init__(self, harness, runtime, key):
        self.harness, self.key = harness, key
        self.runtime = runtime
        self.answered, self.failures, self.versions = 0, [], []
        self.state = runtime.endpoints()[key]
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._look), *(threading.Thread(target=self._ask) for _ in range(2))]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def more(self, eventually, count=20):
        goal = self.answered + count
        eventually(lambda: self.answered >= goal, 20, "more answers")

    def _look(self):
        while not self._stop.wait(0.1):
            self.state = self.runtime.endpoints()[self.key]

    def _ask(self):
        while not self._stop.wait(0.01):
            try:
                status, body = self.harness.ask(self.state, "/invocations", BODY)
                if status == 200:
                    self.answered += 1
                else:
                    self.failures.append((time.time(), status, body))
            except OSError as error:
                self.failures.append((time.time(), repr(error)))
