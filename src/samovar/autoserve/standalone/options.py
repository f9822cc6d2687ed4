"""What an endpoint by itself is asked to serve: arguments, and for containers the same as environment variables."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Literal, NoReturn

import msgspec

from samovar.errors import UsageError
from samovar.serving.config import EndpointConfig  # noqa: TC001 - msgspec reads the annotation at run time

if TYPE_CHECKING:
    from collections.abc import Sequence

EVERYWHERE = "0.0.0.0"  # noqa: S104 - inside a container the network decides who comes; keys are asked for all the same
PORT = 8080


class Options(msgspec.Struct, frozen=True):
    """One endpoint.

    Attributes:
        model: registered model.
        alias: alias it is called by; without ``version`` also which version is served: where it points now.
        version: the version; None takes the alias's.
        host: address to listen at.
        port: TCP port; 0 takes a free one.
        workers: worker processes; None is what the settings say.
        trust: whether a person trusted the version: its files may then run code.
        keep: folder in which the built version is kept, to come back while MLflow is away; empty keeps none.
    """

    model: str
    alias: str = "Production"
    version: int | None = None
    host: str = EVERYWHERE
    port: int = PORT
    workers: int | None = None
    trust: bool = False
    keep: str = ""


class Told(msgspec.Struct, frozen=True):
    """What the supervisor tells its workers.

    Attributes:
        name: DNS label of the endpoint, for logs.
        endpoint: the endpoint.
        log_level: least level that is written.
        log_format: ``json`` is one object a line.
    """

    name: str
    endpoint: EndpointConfig
    log_level: str
    log_format: Literal["text", "json"]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message[:1].upper()}{message[1:]}.", remedy=f"Run `{self.prog} --help`.")


def read(arguments: Sequence[str] | None) -> Options:
    """Read the command line; what it does not say, the environment does.

    Raises:
        UsageError: it says no model, or something that cannot be.
    """
    parser = _Parser(prog="python -m samovar.autoserve.standalone", description="Serve one version of a registered model.")
    parser.add_argument("--model", default=os.environ.get("SAMOVAR_MODEL"), help="registered model (SAMOVAR_MODEL)")
    parser.add_argument("--alias", default=_said("SAMOVAR_ALIAS", "Production"), help="alias (SAMOVAR_ALIAS; Production)")
    parser.add_argument(
        "--version", default=_said("SAMOVAR_VERSION", ""), help="version; the alias's when left out (SAMOVAR_VERSION)"
    )
    parser.add_argument("--host", default=_said("SAMOVAR_HOST", EVERYWHERE), help="address to listen at (SAMOVAR_HOST; all)")
    parser.add_argument("--port", type=int, default=_said("SAMOVAR_PORT", str(PORT)), help="TCP port (SAMOVAR_PORT; 8080)")
    parser.add_argument("--workers", type=int, default=None, help="worker processes (SAMOVAR_WORKERS)")
    parser.add_argument("--keep", default=_said("SAMOVAR_KEEP", ""), help="folder of the built version (SAMOVAR_KEEP; none)")
    parser.add_argument(
        "--trust",
        action="store_true",
        default=_said("SAMOVAR_TRUSTED", "0").lower() in ("1", "true"),
        help="a person trusted this version: its files may run code (SAMOVAR_TRUSTED=1)",
    )
    words = list(sys.argv[1:] if arguments is None else arguments)
    # An image's arguments may read like the command line's `samovar serve-version`.
    found = parser.parse_args(words[1:] if words[:1] == ["serve-version"] else words)
    if not found.model:
        raise UsageError("No model is named.", remedy="Give --model, or set SAMOVAR_MODEL.")
    if found.version and not (found.version.isdecimal() and int(found.version) > 0):
        raise UsageError("A version is a whole number.", remedy="Give --version, or --alias to take the version it points to.")
    if not 0 <= found.port <= 65_535 or (found.workers is not None and not 1 <= found.workers <= 64):
        raise UsageError("Expected a port from 0 to 65535, and 1 to 64 workers.", remedy="Correct --port or --workers.")
    return Options(**{**vars(found), "version": int(found.version) if found.version else None})


def _said(variable: str, otherwise: str) -> str:
    return os.environ.get(variable) or otherwise
