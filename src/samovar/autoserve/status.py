"""What people and machines are told about an endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from samovar.autoserve.naming import endpoint_name

if TYPE_CHECKING:
    from samovar.autoserve.plan import Key
    from samovar.autoserve.protocol import EndpointState

Condition = Literal["Ready", "Starting", "Degraded", "Untrusted", "Failed"]
"""``Ready``: the wanted version answers. ``Starting``: it is on its way. ``Degraded``: another version answers, because the wanted
one failed, or its alias vanished. ``Untrusted``: the wanted version needs a person's trust. ``Failed``: nothing answers."""

ALARMING: frozenset[Condition] = frozenset({"Degraded", "Failed"})
"""Conditions that wake a person."""

NOTABLE: frozenset[Condition] = ALARMING | {"Untrusted"}
"""Conditions that are written down."""

HELD = "Its alias vanished together with many others. Run `samovar confirm` if that was meant."


class EndpointStatus(msgspec.Struct, frozen=True):
    """One endpoint.

    Attributes:
        name: DNS label of the endpoint.
        model: registered model.
        alias: alias.
        wanted: version the alias points to; None when that is not known or the alias is gone.
        serving: version that answers; None when none does.
        label: what answers call that version.
        address: base URL, for life; empty before the first version was built.
        condition: see ``Condition``.
        reason: why it is not Ready, with what to do; empty when it is.
        pid: first process that answers, 0 when none does.
        restarts: times a worker came back after a crash.
        since: when ``serving`` began to answer, seconds since the epoch.
        engine: who computes the answers: ``compiled``, ``sklearn`` or ``pyfunc``; empty when nothing is served.
        notes: why the engine is what it is, in one sentence.
        pids: all processes that answer.
        warnings: what is wrong with it although it serves, each in one sentence.
        gateway: base URL behind the gateway; empty where none runs.
        memory_mb: proportional set size of each of them, in megabytes (10^6 bytes); empty where nobody measured.
    """

    name: str
    model: str
    alias: str
    wanted: int | None
    serving: int | None
    label: str
    address: str
    condition: Condition
    reason: str
    pid: int = 0
    restarts: int = 0
    since: float = 0.0
    engine: str = ""
    notes: str = ""
    pids: tuple[int, ...] = ()
    memory_mb: tuple[float, ...] = ()
    warnings: tuple[str, ...] = ()
    gateway: str = ""


class Failure(msgspec.Struct, frozen=True):
    """Why a wanted version does not serve."""

    reason: str
    untrusted: bool = False
    waiting: bool = False  # it has not failed: what it needs is being made


def describe(  # noqa: PLR0913 - both sides, and what lies between them
    key: Key,
    wanted: int | None,
    state: EndpointState | None,
    *,
    failure: Failure | None = None,
    building: bool = False,
    held: str = "",
) -> EndpointStatus:
    """Judge one endpoint.

    Args:
        key: model and alias.
        wanted: version the alias points to, None when it is unknown.
        state: what the agent says; None when the agent has no such endpoint.
        failure: why the wanted version failed, if it did and waits.
        building: whether the wanted version is being built.
        held: why it goes on although its alias is gone; empty when it is not held.
    """
    condition, reason = _judge(wanted, state, failure, building=building, held=held)
    return EndpointStatus(
        name=endpoint_name(*key),
        model=key.model,
        alias=key.alias,
        wanted=wanted,
        serving=state.serving if state else None,
        label=state.label if state else "",
        address=_url(state) if state else "",
        condition=condition,
        reason=reason,
        pid=state.pid if state else 0,
        restarts=state.restarts if state else 0,
        since=state.since if state else 0.0,
        engine=state.engine if state else "",
        notes=state.notes if state else "",
        pids=state.pids if state else (),
        warnings=state.warnings if state else (),
    )


def _url(state: EndpointState) -> str:
    """Return where this host reaches the endpoint."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(state.host, f"[{state.host}]" if ":" in state.host else state.host)  # noqa: S104
    return f"http://{host}:{state.port}"


def _judge(
    wanted: int | None, state: EndpointState | None, failure: Failure | None, *, building: bool, held: str
) -> tuple[Condition, str]:
    serving = state.serving if state else None
    up = state is not None and state.up
    if held:
        return "Degraded", held
    if state is not None and failure is not None and serving == wanted == state.failed and state.crashed:
        return ("Degraded" if up else "Failed"), f"v{wanted} keeps crashing: {failure.reason}"
    if serving is not None and wanted in {None, serving}:
        return ("Ready", "") if up else ("Starting", f"The worker of v{serving} died and is coming back.")
    old = f" Version {serving} keeps answering." if serving is not None else ""
    if failure is None:
        return "Starting", f"v{wanted} is being {'built' if building else 'loaded'}.{old}" if wanted else "No version answers yet."
    return _blame(f"v{wanted}", failure, old)


def _blame(wanted: str, failure: Failure, old: str) -> tuple[Condition, str]:
    """Say why the wanted version does not answer; ``old`` names the one that does, if one does."""
    if failure.waiting:
        return "Starting", f"{wanted}: {failure.reason}{old}"
    if failure.untrusted:
        return "Untrusted", failure.reason + old
    return ("Degraded", f"{wanted}: {failure.reason}{old}") if old else ("Failed", failure.reason)
