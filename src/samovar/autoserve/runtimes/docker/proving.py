"""Whether a new container answers: its probe, and for the stock server its version's input example."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import msgspec

from samovar.autoserve.runtimes.docker.boxes import PORT
from samovar.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.autoserve.runtimes.docker.boxes import Box

_TIMEOUT = 2.0
_EXAMPLE_TIMEOUT = 30.0


class _Told(msgspec.Struct):
    version: int | None = None
    engine: str = ""


class Prover:
    """Asks containers over the network.

    Args:
        example: gives the input example of a version as a body of ``/invocations``; empty when it has none.
    """

    def __init__(self, example: Callable[[str, int], bytes]) -> None:
        self._example = example
        self._client = httpx.Client(timeout=_TIMEOUT, trust_env=False)
        self._engines: dict[str, str] = {}

    def answers(self, box: Box) -> bool:
        """Tell whether a container answers for the version that it was made for; our server has answered its example by then.

        Raises:
            ModelError: the stock server answers, but not its version's input example.
        """
        told = self._get(box, "/health")
        if told is None:
            # From a host that does not reach the containers' network, their own health check is the only word there is.
            return box.healthy is True and box.offer.engine == "samovar"
        if box.offer.engine == "samovar":
            return told.version == box.offer.version
        self._try_example(box)
        return True

    def engine(self, box: Box) -> str:
        """Return who computes the answers of a container: ``compiled``, ``sklearn`` or ``pyfunc``; empty when it does not say."""
        if box.offer.engine == "mlflow":
            return "pyfunc"
        if not self._engines.get(box.id):
            told = self._get(box, "/version") if box.state == "running" else None
            self._engines[box.id] = told.engine if told is not None else ""
        return self._engines[box.id]

    def forget(self, known: set[str]) -> None:
        """Drop what is remembered of containers that are gone."""
        self._engines = {box: engine for box, engine in self._engines.items() if box in known}

    def _get(self, box: Box, path: str) -> _Told | None:
        if not box.address:
            return None
        try:
            answer = self._client.get(f"http://{box.address}:{PORT}{path}")
        except httpx.TransportError:
            return None
        if answer.status_code != httpx.codes.OK:
            return None
        try:
            return msgspec.json.decode(answer.content, type=_Told)
        except msgspec.MsgspecError:
            return _Told()

    def _try_example(self, box: Box) -> None:
        body = self._example(box.offer.key.model, box.offer.version)
        if not body:
            return
        where = f"http://{box.address}:{PORT}/invocations"
        try:
            answer = self._client.post(where, content=body, headers={"Content-Type": "application/json"}, timeout=_EXAMPLE_TIMEOUT)
        except httpx.TransportError as error:
            raise ModelError(f"The model does not answer its own input example ({type(error).__name__}).") from None
        if answer.status_code != httpx.codes.OK:
            raise ModelError(
                f"The model does not answer its own input example (status {answer.status_code}).",
                remedy="Log it with an input example that fits its signature.",
            )
