"""What the garbage collector does in a worker."""

import json
import subprocess
import sys

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
