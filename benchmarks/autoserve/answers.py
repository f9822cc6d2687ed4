"""Whether an endpoint answers with the weights of the version that was asked for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from benchmarks.serving.servers import ask

if TYPE_CHECKING:
    from benchmarks.autoserve.shelf import Made


def wrong(address: tuple[str, int], made: Made) -> bool:
    """Ask for the version's own rows; True when the answers are not those of its native model."""
    host, port = address
    status, said = ask(f"{host}:{port}", "/invocations", made.asked)
    return status != 200 or json.loads(said)["predictions"] != made.answers
