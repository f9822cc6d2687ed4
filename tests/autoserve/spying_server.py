"""The real server, in a worker that tells which modules it has imported."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from samovar.serving.server import EndpointServer


class SpyingServer(EndpointServer):
    """Writes the names of all modules to the file that the plan names, ten times a second."""

    def __init__(self, plan, config):
        super().__init__(plan, config)
        self._spied = Path(plan.files["modules"].decode())

    async def serve(self, listener, *, on_accepting):
        spying = asyncio.create_task(self._spy())
        try:
            await super().serve(listener, on_accepting=on_accepting)
        finally:
            spying.cancel()

    async def _spy(self):
        while True:
            draft = self._spied.with_suffix(".draft")
            draft.write_text(json.dumps(sorted(sys.modules)))
            draft.replace(self._spied)
            await asyncio.sleep(0.1)
