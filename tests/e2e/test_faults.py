"""Any one process may be killed at any time: it comes back, endpoints answer meanwhile, and `samovar status` tells the truth."""

from __future__ import annotations

import contextlib
import operator
import os
import select
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest
from sklearn.datasets import load_iris

pytestmark = pytest.mark.e2e

MODEL = "plain-logreg"
SCRIPT = Path(__file__).parent / "scripts" / "plain_logreg.py"

MODULES = {
    "mlflow": "samovar.registry.server",
    "agent": "samovar.autoserve.agent",
    "autoserve": "samovar.autoserve",
    "scheduler": "samovar.stack.scheduler",
    "supervisor": "samovar.stack.supervisor",
    "guardian": "samovar.stack.guardian",
}
PROGRAMS = {"gateway": "traefik"}
TITLES = {"zygote": "samovar: zygote", "worker": f"samovar: {MODEL}@Production"}

HEALTHY_SECONDS = {"mlflow": 35}
"""10 s plus the own cold start; MLflow's is 5-10 s on an idle machine and 25 s on a crowded one."""


def find(stack, kind):
    """The one process of a kind that runs now, None while there is none."""
    for process in stack.processes():
        with contextlib.suppress(psutil.Error):
            words = process.cmdline()
            if kind in MODULES and words[1:3] == ["-m", MODULES[kind]]:
                return process
            if kind in PROGRAMS and words and Path(words[0]).name == PROGRAMS[kind]:
                return process
            if kind in TITLES and " ".join(words).startswith(TITLES[kind]):
                return process
    return None


def boot_seconds(pid):
    """When a process started, in seconds since boot: exact to a clock tick, unlike wall-clock times of processes."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")


def kill(process):
    """Kill a process; return when, and when the kernel had closed all it held: requests sent until then were in its hands."""
    descriptor = os.pidfd_open(process.pid)
    process.kill()
    killed = time.monotonic()
    assert select.select([descriptor], [], [], 5)[0], "a killed process ends"
    os.close(descriptor)
    return killed, time.monotonic()


@dataclass
class Client:
    """Asks one endpoint without a pause, over one kept connection or over a new one each time, and notes each failure."""

    address: str
    kept: bool
    answered: int = 0
    failures: list = field(default_factory=list)

    def run(self, stop):
        body = {"dataframe_split": load_iris(as_frame=True).data.head(2).to_dict(orient="split", index=False)}
        headers = {} if self.kept else {"Connection": "close"}
        with httpx.Client(timeout=10, trust_env=False, headers=headers) as http:
            while not stop.wait(0.01):
                began = time.monotonic()
                try:
                    http.post(f"{self.address}/invocations", json=body).raise_for_status()
                    self.answered += 1
                except httpx.HTTPError as error:
                    self.failures.append((began, repr(error)))


@contextlib.contextmanager
def asking(addresses):
    """Keep asking every endpoint while the block runs."""
    clients = [Client(address, kept) for address in addresses for kept in (True, False)]
    stop = threading.Event()
    threads = [threading.Thread(target=client.run, args=(stop,)) for client in clients]
    for thread in threads:
        thread.start()
    try:
        yield clients
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.fixture(scope="module")
def endpoints(stack):
    """Addresses of two served endpoints."""
    result = stack.run(sys.executable, str(SCRIPT), env={"MLFLOW_TRACKING_URI": stack.address("mlflow")})
    assert result.returncode == 0, result.stderr
    for alias, version in (("Production", "1"), ("Candidate", "2")):
        assert stack.samovar("alias", "set", MODEL, alias, version).returncode == 0
    return stack.served(MODEL, 1), stack.served(MODEL, 2, "Candidate")


def service(stack, name):
    """One service as `samovar status` sees it."""
    return next(row for row in stack.status()["services"] if row["name"] == name)


def assert_truthful(stack):
    """Whatever status calls healthy has a living process; whatever endpoint it calls Ready answers."""
    document = stack.status()
    for row in document["services"]:
        assert row["health"] != "healthy" or psutil.pid_exists(row["pid"]), row
    return document


def pids(document):
    """Every process that status shows."""
    return {row["pid"] for row in (*document["services"], *document["endpoints"])}


def all_well(stack):
    """Whether status calls everything healthy."""
    document = assert_truthful(stack)
    conditions = [row["condition"] for row in document["endpoints"]]
    return {row["health"] for row in document["services"]} == {"healthy"} and conditions == ["Ready", "Ready"]


def test_no_kind_of_process_is_forgotten(stack, endpoints):
    """Every process of the stack is one of those that are killed here, or the other endpoint's worker."""
    known = {found.pid for kind in (*MODULES, *PROGRAMS, *TITLES) if (found := find(stack, kind))}
    others = [" ".join(process.cmdline()).strip("\0 ") for process in stack.processes() if process.pid not in known]
    # It goes when nothing was built for a while; tests/autoserve/test_zygotes.py kills it.
    assert [title for title in others if title != "samovar: ample zygote"] == [f"samovar: {MODEL}@Candidate v2"]


@pytest.mark.parametrize("kind", [*MODULES, *PROGRAMS, *TITLES])
def test_a_killed_process_comes_back_while_endpoints_answer(stack, endpoints, eventually, kind):
    """`kill -9`: a restart within a second, healthy within 10 s and its cold start, no request lost that was not in its hands."""
    eventually(lambda: all_well(stack), 30, "everything healthy before the kill")
    victim = find(stack, kind)
    assert victim is not None, [process.cmdline() for process in stack.processes()]
    restarts = service(stack, kind)["restarts"] if kind in (*MODULES, *PROGRAMS) else None
    with asking(endpoints) as clients:
        eventually(lambda: all(client.answered > 3 for client in clients), 10, "clients are answered")
        at = time.clock_gettime(time.CLOCK_BOOTTIME)
        killed, gone = kill(victim)
        document = assert_truthful(stack)
        assert victim.pid not in pids(document), f"status shows a dead process: {document}"
        successor = eventually(lambda: (new := find(stack, kind)) and new.pid != victim.pid and new, 20, f"{kind} started again")
        assert boot_seconds(successor.pid) - at <= 1.0
        eventually(lambda: all_well(stack), HEALTHY_SECONDS.get(kind, 10) + 5, lambda: f"healthy again: {stack.status()}")
        seconds = time.monotonic() - killed
        counts = [client.answered + 3 for client in clients]
        eventually(lambda: all(map(operator.gt, [client.answered for client in clients], counts)), 10, "still answered")
    assert seconds <= HEALTHY_SECONDS.get(kind, 10) + 5
    if kind in (*MODULES, *PROGRAMS):
        assert service(stack, kind)["restarts"] == restarts + 1
    failures = [failure for client in clients for failure in client.failures]
    if kind == "worker":
        assert all(began <= gone for began, _ in failures), (killed, gone, failures)
        assert len(failures) <= 2, failures
    else:
        assert failures == []


def test_while_mlflow_is_dead_status_says_so_and_endpoints_answer(stack, endpoints, eventually):
    """MLflow takes seconds to start; status never calls it healthy before it answers."""
    eventually(lambda: all_well(stack), 30, "everything healthy before the kill")
    find(stack, "mlflow").kill()
    seen = set()

    def healthy():
        answered_before = answers(stack)
        row = service(stack, "mlflow")
        seen.add(row["health"])
        assert row["health"] != "healthy" or answered_before or answers(stack), row
        assert all(stack.http.get(f"{address}/ping").status_code == 200 for address in endpoints)
        return row["health"] == "healthy"

    eventually(healthy, HEALTHY_SECONDS["mlflow"], "MLflow healthy again")
    assert seen - {"healthy"}, "status never showed that MLflow was away"


def answers(stack):
    """Whether MLflow answers now."""
    try:
        return stack.http.get(f"{stack.address('mlflow')}/health").status_code == 200
    except httpx.HTTPError:
        return False


def test_after_all_of_it_an_alias_move_is_still_served(stack, endpoints):
    """The loop is whole after every process was replaced; addresses stayed."""
    stack.mlflow().set_registered_model_alias(MODEL, "Production", "2")
    assert stack.served(MODEL, 2) == endpoints[0]


def test_down_ends_what_nobody_watches_any_more(home):
    """With both keepers killed, `samovar down` still finds and ends every process."""
    home.up()
    ports = home.ports()
    for keeper in ("guardian", "supervisor"):
        find(home, keeper).kill()
    result = home.samovar("down")
    assert result.returncode == 0, result.stderr
    home.assert_nothing_left(ports)
