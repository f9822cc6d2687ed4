"""MLflow's REST protocol: one request, bounded in time, with every failure turned into one of ours.

Why not MLflow's own client: ``import mlflow`` costs two seconds and 125 MB, and its default retries hang for minutes on a dead
server. The calls Samovar needs are a dozen stable ones, so commands and the controller speak them directly; MLflow itself is
imported only to write a model folder and to read artifact stores that its server does not proxy.
"""

from __future__ import annotations

import base64
import os
import time
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import httpx

from samovar.errors import Conflict, NotFound, RegistryUnavailable, SamovarError, SettingsError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

API = "/api/2.0/mlflow/"
FILES = "/api/2.0/mlflow-artifacts/artifacts"
_PATIENCE = (0.1, 0.4)  # seconds before the second and the third try
_TRANSIENT = frozenset({408, 429, 502, 503, 504})
_CHECK = "Check that the server runs and that MLFLOW_TRACKING_URI is right."


class Rest:
    """A connection to one MLflow server; threads may share it.

    Args:
        tracking_uri: ``http://`` or ``https://`` address of the server. Credentials in it, or in ``MLFLOW_TRACKING_TOKEN``,
            ``MLFLOW_TRACKING_USERNAME`` and ``MLFLOW_TRACKING_PASSWORD``, are used as MLflow's own client does.
        timeout: seconds the server may keep silent: while connecting, and between two pieces of an answer.

    Raises:
        SettingsError: the address is not one of a server.
    """

    def __init__(self, tracking_uri: str, timeout: float) -> None:
        parts = urlsplit(tracking_uri)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingsError(
                f"MLFLOW_TRACKING_URI has the scheme {parts.scheme or 'none'!r}; Samovar needs an MLflow server.",
                remedy="Set it to an http:// or https:// address, or unset it and run `samovar up`.",
            )
        netloc = parts.netloc.rpartition("@")[2]
        self.base = urlunsplit((parts.scheme, netloc, parts.path.rstrip("/"), "", ""))
        self._client = httpx.Client(
            timeout=timeout,
            headers=_authorization(parts.username, parts.password),
            verify=_verify(parts.scheme),
            follow_redirects=False,
        )

    def close(self) -> None:
        """Drop the open connections."""
        self._client.close()

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        """Call a reading endpoint of ``/api/2.0/mlflow/``."""
        return self._json(self.request("GET", API + path, params={k: v for k, v in params.items() if v is not None}))

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        """Call a writing endpoint of ``/api/2.0/mlflow/``."""
        return self._json(self.request("POST", API + path, json=body))

    def patch(self, path: str, **body: Any) -> dict[str, Any]:
        """Call a changing endpoint of ``/api/2.0/mlflow/``."""
        return self._json(self.request("PATCH", API + path, json=body))

    def delete(self, path: str, **body: Any) -> dict[str, Any]:
        """Call a deleting endpoint of ``/api/2.0/mlflow/``."""
        return self._json(self.request("DELETE", API + path, json=body))

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send one request; tries again when nothing was sent, or when a reading request met a passing trouble.

        Raises:
            RegistryUnavailable: no answer, a server's failure, or refused credentials.
            NotFound: the thing asked for does not exist.
            Conflict: the thing to create exists already.
            UsageError: MLflow does not accept an argument.
        """

        def send() -> httpx.Response:
            return self._checked(self._client.request(method, self.base + path, **options))

        return _with_patience(send, self.base, reading=method == "GET")

    def stream(self, path: str, limit: int) -> bytes:
        """Read one file of at most ``limit`` bytes; raises as `request` does, and ValueError when the file is larger."""

        def read() -> bytes:
            with self._client.stream("GET", self.base + path) as response:
                if response.status_code >= 400:
                    response.read()
                self._checked(response)
                chunks, size = [], 0
                for chunk in response.iter_bytes():
                    size += len(chunk)
                    if size > limit:
                        raise ValueError("file is over the limit")
                    chunks.append(chunk)
                return b"".join(chunks)

        return _with_patience(read, self.base, reading=True)

    def _checked(self, response: httpx.Response) -> httpx.Response:
        if response.status_code >= 400:
            raise _failure(response, self.base)
        return response

    def _json(self, response: httpx.Response) -> dict[str, Any]:
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise RegistryUnavailable(f"The server at {self.base} does not answer as MLflow does.", remedy=_CHECK)
        return answer


class _Passing(RegistryUnavailable):
    """A failure after which a reading request is worth another try."""


def _with_patience(call: Callable[[], T], base: str, *, reading: bool) -> T:
    for pause in (*_PATIENCE, None):
        try:
            return call()
        except _Passing:
            if not reading or pause is None:
                raise
        except httpx.ConnectTimeout as error:
            raise _unreachable(base, error) from None  # waiting again would multiply the time-out
        except httpx.TransportError as error:
            unsent = isinstance(error, httpx.ConnectError)
            slow = isinstance(error, httpx.TimeoutException)
            if pause is None or slow or not (reading or unsent):
                raise _unreachable(base, error) from None
        time.sleep(pause)
    raise AssertionError  # the last round returns or raises


def _unreachable(base: str, error: Exception) -> RegistryUnavailable:
    what = "did not answer in time" if isinstance(error, httpx.TimeoutException) else "cannot be reached"
    return RegistryUnavailable(f"MLflow at {base} {what}.", remedy=_CHECK)


def _failure(response: httpx.Response, base: str) -> SamovarError:
    code, message = _mlflow_error(response)
    status = response.status_code
    if code == "RESOURCE_DOES_NOT_EXIST" or (status == 400 and "alias" in message and "not found" in message):
        return NotFound(f"MLflow: {message}")
    if code == "RESOURCE_ALREADY_EXISTS":
        return Conflict(f"MLflow: {message}")
    if status in (401, 403):
        return RegistryUnavailable(
            f"MLflow at {base} refused the credentials.", remedy="Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
        )
    if status == 400 and message:
        return UsageError(f"MLflow does not accept this: {message}")
    kind = _Passing if status in _TRANSIENT else RegistryUnavailable
    return kind(f"MLflow at {base} answered with status {status}.", remedy="Look into the server's log.")


def _mlflow_error(response: httpx.Response) -> tuple[str, str]:
    try:
        body = response.json()
    except ValueError:
        return "", ""
    if not isinstance(body, dict):
        return "", ""
    first_line = str(body.get("message", "")).strip().split("\n", 1)[0]
    return str(body.get("error_code", "")), first_line[:300]


def _authorization(username: str | None, password: str | None) -> Mapping[str, str]:
    username = username or os.environ.get("MLFLOW_TRACKING_USERNAME")
    password = password or os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    if username:
        return {"Authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()}
    return {"Authorization": f"Bearer {token}"} if token else {}


def _verify(scheme: str) -> Any:
    if scheme == "http":
        return False  # reading the certificate authorities takes 40 ms, for a connection that has no certificate
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1"):
        return False
    bundle = os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH")
    if bundle is None:
        return True
    import ssl  # noqa: PLC0415 - only where an own certificate authority is named

    return ssl.create_default_context(cafile=bundle)
