"""What happens to memory in a worker."""

import json
import platform
import subprocess
import sys

import pytest

CODE = """
import gc, json
from samovar.serving import collector
if {settled}:
    collector.settle()
gc.callbacks.append(lambda phase, info: seen.append(info["generation"]) if phase == "start" else None)
seen = []
rows = [(float(n), [n]) for n in range(40_000)]
print(json.dumps(seen))
"""


def collections(*, settled):
    code = CODE.format(settled=settled)
    return json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def test_a_large_request_is_not_searched_for_cycles():
    """In a process of its own: thresholds are the process's."""
    assert collections(settled=True) == []
    assert len(collections(settled=False)) > 20


AGAIN = """
import resource
from samovar.serving import collector
if {settled}:
    collector.settle()
def request():
    return [b"x" * 700_000 for _ in range(8)]
request()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    request()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // 20)
"""


def pages(*, settled):
    code = AGAIN.format(settled=settled)
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's switches; no other library has them")
def test_a_large_request_takes_the_room_of_the_one_before():
    """The kernel clears every page that it gives anew, which is a third of such a request's time."""
    assert pages(settled=True) < 10
    assert pages(settled=False) > 100
