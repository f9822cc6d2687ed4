"""Secrets that Samovar makes for itself: generated once, kept in a file that its owner alone can read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from samovar.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def kept(path: Path, make: Callable[[], str]) -> str:
    """Return the secret in a file, made now if there is none; two programs that make it at once agree on one.

    Raises:
        SettingsError: the file cannot be read or written, or holds nothing.
    """
    try:
        secret = _read(path)
        if secret is None:
            _offer(path, make())
            secret = _read(path)
    except OSError as error:
        raise SettingsError(f"{path} cannot be used ({error.strerror}).", remedy="Mend its permissions.") from None
    if not secret:
        raise SettingsError(f"{path} holds no secret.", remedy="Delete it, and another one is made.")
    return secret


def _read(path: Path) -> str | None:
    try:
        with path.open(encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)
            return file.read().strip()
    except FileNotFoundError:
        return None


def _offer(path: Path, secret: str) -> None:
    """Put the whole file there unless another program was faster: nobody ever reads half a secret."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(secret + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)
