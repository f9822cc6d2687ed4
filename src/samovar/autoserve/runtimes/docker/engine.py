"""The few calls of the Docker Engine API that Samovar makes, and no others: a socket proxy may forbid the rest.

A client of our own on httpx: the calls are a dozen, the API is versioned and stable, and the public SDK would bring a second HTTP
library for them.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import httpx
import msgspec

from samovar.errors import Conflict, NotFound, SamovarError, SettingsError, StackUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

CALLS = (
    "GET /containers/json",
    "GET /containers/{id}/json",
    "GET /containers/{id}/logs",
    "GET /networks/{id}",
    "POST /containers/create",
    "POST /containers/{id}/start",
    "POST /containers/{id}/rename",
    "POST /containers/{id}/update",
    "POST /containers/{id}/kill",
    "POST /networks/create",
    "PUT /containers/{id}/archive",
    "DELETE /containers/{id}",
)
"""All that a restricted socket proxy must let through."""

_TIMEOUT = 30.0
_FRAME = struct.Struct(">BxxxL")  # which stream, and how many bytes follow


def allowed(method: str, path: str) -> bool:
    """Whether a request is one of ``CALLS``."""
    bare = re.sub(r"^/v[0-9.]+", "", path.partition("?")[0])
    shape = re.sub(r"^/(containers|networks)/(?!json$|create$)[^/]+", r"/\1/{id}", bare)
    return f"{method} {shape}" in CALLS


class Engine:
    """One Docker Engine; threads may share it.

    Args:
        address: ``unix:///path`` of its socket, or ``tcp://host:port`` of a proxy before it, as in ``DOCKER_HOST``.

    Every method raises StackUnavailable when the engine cannot be reached, NotFound for a container, network or image that does not
    exist, and Conflict when a name is taken or the thing is in another state.
    """

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        if parts.scheme == "unix" and parts.path:
            self._client = httpx.Client(transport=httpx.HTTPTransport(uds=parts.path), base_url="http://docker", timeout=_TIMEOUT)
        elif parts.scheme in ("tcp", "http") and parts.hostname:
            self._client = httpx.Client(base_url=f"http://{parts.netloc}", timeout=_TIMEOUT, trust_env=False)
        else:
            raise SettingsError(
                "DOCKER_HOST is neither unix:///path nor tcp://host:port.", remedy="Set it to the engine's socket or its proxy."
            )
        self._where = address

    def containers(self, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        """List containers that have all these labels, running or not."""
        filters = {"label": [f"{name}={value}" for name, value in labels.items()]}
        found = self._json("GET", "/containers/json", params={"all": "1", "filters": msgspec.json.encode(filters).decode()})
        return list(found)

    def inspect(self, name: str) -> dict[str, Any]:
        """Return all about one container, by id or name."""
        return dict(self._json("GET", f"/containers/{quote(name, safe='')}/json"))

    def create(self, name: str, body: dict[str, Any]) -> str:
        """Make a container and return its id."""
        return str(self._json("POST", "/containers/create", params={"name": name}, json=body)["Id"])

    def start(self, container: str) -> None:
        """Start a container; one that runs already is left alone."""
        self._ask("POST", f"/containers/{container}/start")

    def rename(self, container: str, name: str) -> None:
        """Give a container another name, which is its DNS name too."""
        self._ask("POST", f"/containers/{container}/rename", params={"name": name})

    def restart_always(self, container: str) -> None:
        """Have a container come back when it ends by itself, and after the host starts again."""
        self._ask("POST", f"/containers/{container}/update", json={"RestartPolicy": {"Name": "unless-stopped"}})

    def terminate(self, container: str) -> None:
        """Tell a container to leave; does not wait."""
        self._ask("POST", f"/containers/{container}/kill", params={"signal": "SIGTERM"})

    def remove(self, container: str) -> None:
        """End a container now and forget it."""
        self._ask("DELETE", f"/containers/{container}", params={"force": "1", "v": "1"})

    def put(self, container: str, folder: str, archive: bytes) -> None:
        """Unpack a tar archive in a container."""
        self._ask(
            "PUT",
            f"/containers/{container}/archive",
            params={"path": folder},
            content=archive,
            headers={"Content-Type": "application/x-tar"},
        )

    def logs(self, container: str, lines: int = 50) -> str:
        """Return the last lines that a container wrote, on both streams."""
        params = {"stdout": "1", "stderr": "1", "tail": str(lines)}
        return _unframed(self._ask("GET", f"/containers/{container}/logs", params=params).content)

    def ensure_network(self, name: str, labels: Mapping[str, str]) -> None:
        """Make a bridge network unless there is one of that name."""
        try:
            self._ask("GET", f"/networks/{quote(name, safe='')}")
        except NotFound:
            body = {"Name": name, "Driver": "bridge", "CheckDuplicate": True, "Labels": dict(labels)}
            self._ask("POST", "/networks/create", json=body)

    def close(self) -> None:
        """Drop the connections."""
        self._client.close()

    def _json(self, method: str, path: str, **options: Any) -> Any:
        try:
            return self._ask(method, path, **options).json()
        except ValueError:
            raise self._away("does not answer as an engine does") from None

    def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        assert allowed(method, path), f"{method} {path} is not on the list of calls"
        try:
            response = self._client.request(method, path, **options)
        except httpx.TransportError as error:
            how = "does not answer in time" if isinstance(error, httpx.TimeoutException) else "cannot be reached"
            raise self._away(how) from None
        if response.status_code >= 400:
            raise self._failure(response)
        return response

    def _away(self, how: str) -> StackUnavailable:
        return StackUnavailable(
            f"The Docker Engine at {self._where} {how}.", remedy="Check that it runs, that DOCKER_HOST is right and may be used."
        )

    def _failure(self, response: httpx.Response) -> SamovarError:
        said = _message(response)
        if response.status_code == 404:
            return NotFound(f"Docker: {said}")
        if response.status_code in (400, 409):
            return Conflict(f"Docker: {said}")
        if response.status_code in (401, 403):
            return SettingsError(
                f"The proxy before the Docker Engine forbids {response.request.method} {response.request.url.path}.",
                remedy="Let it pass; docs/RUNTIMES.md lists the calls that are needed.",
            )
        return StackUnavailable(f"Docker: {said}")


def _message(response: httpx.Response) -> str:
    try:
        said = str(response.json().get("message", ""))
    except (ValueError, AttributeError):
        said = ""
    return (said or f"status {response.status_code}").strip().rstrip(".") + "."


def _unframed(data: bytes) -> str:
    """Put the pieces of both streams together; each comes behind a header of eight bytes."""
    pieces, at = [], 0
    while at + _FRAME.size <= len(data):
        _, length = _FRAME.unpack_from(data, at)
        at += _FRAME.size
        pieces.append(data[at : at + length])
        at += length
    return b"".join(pieces).decode("utf-8", "replace")
