"""What a version answered again: a file for each file of the prediction log, whole or not there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Answers = tuple[list[str], "np.ndarray | None"]
"""n labels, and probabilities (n, classes) or None."""


class Replays:
    """The answers of one version.

    Args:
        root: folder of all replays.
        name: of the version, unique by its content.
    """

    def __init__(self, root: Path, name: str) -> None:
        self._folder = root / name

    def read(self, segment: str) -> dict[int, Answers] | None:
        """Return answers by the position of their first row; None when the file was not answered whole yet."""
        try:
            found = msgspec.msgpack.decode((self._folder / segment).read_bytes(), type=list[tuple[int, list[str], bytes, int]])
        except (FileNotFoundError, msgspec.DecodeError):
            return None
        return {first: (labels, _array(shares, width)) for first, labels, shares, width in found}

    def write(self, segment: str, made: Iterable[tuple[int, list[str], np.ndarray | None]]) -> None:
        """Store the answers to a file; a kill leaves all of them or none."""
        rows = [
            (first, labels, b"" if shares is None else shares.astype("<f8").tobytes(), 0 if shares is None else shares.shape[1])
            for first, labels, shares in made
        ]
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished = self._folder / f".{segment}.{os.getpid()}"
        unfinished.write_bytes(msgspec.msgpack.encode(rows))
        unfinished.replace(self._folder / segment)


def _array(shares: bytes, width: int) -> np.ndarray | None:
    return np.frombuffer(shares, dtype="<f8").reshape(-1, width) if width else None


__all__ = ["Answers", "Replays"]
