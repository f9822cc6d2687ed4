"""Asking autoserve, from the command line or from Python."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from samovar import addresses
from samovar.autoserve.runtimes.process.link import AgentLink
from samovar.autoserve.status import EndpointStatus, describe
from samovar.errors import NotFound, StackUnavailable

if TYPE_CHECKING:
    from samovar.settings import Settings

ADDRESS_FILE = "autoserve.json"
_LOOK_SECONDS = 0.1


def endpoints(settings: Settings) -> list[EndpointStatus]:
    """Return all endpoints: as the controller judges them, or when it is dead as the agent knows them.

    Raises:
        StackUnavailable: neither answers.
    """
    try:
        return msgspec.convert(_call(settings, "GET", "/endpoints"), list[EndpointStatus])
    except StackUnavailable:
        states = AgentLink(settings.run_dir, timeout=5.0).endpoints()
        return [describe(key, None, state) for key, state in sorted(states.items())]


def endpoint(settings: Settings, model: str, alias: str = "Production") -> EndpointStatus:
    """Return one endpoint.

    Raises:
        NotFound: there is none for that alias.
        StackUnavailable: autoserve does not answer.
    """
    for status in endpoints(settings):
        if (status.model, status.alias) == (model, alias):
            return status
    raise NotFound(f"{model}@{alias} has no endpoint.", remedy=f"Set the alias: `samovar alias set {model} {alias} VERSION`.")


def address(settings: Settings, model: str, alias: str = "Production") -> str:
    """Return the base URL of an endpoint; raises as ``endpoint``."""
    return endpoint(settings, model, alias).address


def wait_until(  # noqa: PLR0913 - which endpoint, what it shall serve, and how long
    settings: Settings,
    model: str,
    alias: str = "Production",
    version: int | None = None,
    *,
    newer_than: int | None = None,
    timeout: float = 60.0,
) -> EndpointStatus:
    """Wait until an endpoint serves ``version``, or any version above ``newer_than``; with neither, the one that is wanted.

    Raises:
        StackUnavailable: it does not within ``timeout`` seconds; the message says how it is instead.
    """
    deadline = time.monotonic() + timeout
    while True:
        status, trouble = _look(settings, model, alias)
        if status is not None and status.pid and _serves(status, version, newer_than):
            return status
        if time.monotonic() > deadline:
            goal = f"v{version}" if version else f"a version above v{newer_than}" if newer_than else "its version"
            raise StackUnavailable(
                f"{model}@{alias} does not serve {goal} within {timeout:g} s: {trouble}", remedy="Look at `samovar logs autoserve`."
            )
        time.sleep(_LOOK_SECONDS)


def _look(settings: Settings, model: str, alias: str) -> tuple[EndpointStatus | None, str]:
    try:
        status = endpoint(settings, model, alias)
    except (NotFound, StackUnavailable) as error:
        return None, str(error)
    return status, f"{status.condition}. {status.reason}".strip()


def _serves(status: EndpointStatus, version: int | None, newer_than: int | None) -> bool:
    if version is not None:
        return status.serving == version
    if newer_than is not None:
        return status.serving is not None and status.serving > newer_than
    return status.condition == "Ready"


def notes(settings: Settings) -> list[str]:
    """Return what is not as it should be with the controller itself, a sentence each; nothing when it is dead."""
    try:
        said = health(settings)
    except StackUnavailable:
        return []
    found = [said[what] for what in ("registry", "agent") if said.get(what)]
    if said.get("standby"):
        found.append(f"Autoserve stands by and changes nothing: {said['standby']}")
    doorbell = said.get("doorbell") or {}
    if settings.doorbell == "on" and doorbell.get("state") == "silent" and not said.get("registry"):
        found.append(f"MLflow's doorbell does not ring: {doorbell['note']}")
    return found


def health(settings: Settings) -> dict[str, Any]:
    """Return how the controller is, as its API says. Raises ``StackUnavailable``."""
    found: dict[str, Any] = _call(settings, "GET", "/healthz")
    return found


def confirm(settings: Settings) -> list[str]:
    """Let endpoints end whose aliases vanished all at once; returns them. Raises ``StackUnavailable``."""
    return [str(name) for name in _call(settings, "POST", "/confirm")["released"]]


def reconcile(settings: Settings) -> None:
    """Have the controller look at the registry now. Raises ``StackUnavailable``."""
    _call(settings, "POST", "/reconcile")


def _call(settings: Settings, method: str, path: str, **params: Any) -> Any:
    import httpx  # noqa: PLC0415 - the agent's side of this package does without

    base, token = _controller(settings)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    verify = base.startswith("https:")  # reading the certificate authorities takes 40 ms, and whoever waits asks often
    try:
        answer = httpx.request(
            method, f"{base}/api/v1{path}", headers=headers, params=params, timeout=5.0, trust_env=False, verify=verify
        )
        return answer.raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        raise StackUnavailable(f"Autoserve does not answer ({type(error).__name__}).", remedy="Run `samovar up`.") from None


def _controller(settings: Settings) -> tuple[str, str]:
    """Return where it answers, and what it lets us in with."""
    try:
        found = msgspec.json.decode((settings.run_dir / ADDRESS_FILE).read_bytes())
        return str(found["address"]), str(found.get("token", ""))
    except (OSError, msgspec.DecodeError, KeyError):
        known = addresses.local(settings).get(addresses.AUTOSERVE)
    if known is None:
        raise StackUnavailable("Autoserve is not running.", remedy="Run `samovar up`.")
    return known, ""
