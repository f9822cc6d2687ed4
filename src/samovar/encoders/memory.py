"""What a training process remembers of its encoded texts: folds and trials encode the same ones again and again.

Known by content, so that it cannot tell anything of the rows it was filled with. Off unless `remember` was called: an endpoint
meets few texts twice.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LIMIT = 150_000
"""Texts that are remembered: 230 MB at 384 numbers of 4 bytes."""

_known: dict[bytes, np.ndarray] | None = None


def remember() -> None:
    """From now on, remember encoded texts in this process."""
    global _known  # noqa: PLW0603 - one memory per process is the point
    _known = {} if _known is None else _known


def forget() -> None:
    """Forget all, and remember nothing from now on."""
    global _known  # noqa: PLW0603 - as above
    _known = None


def through(encoder: str, texts: Sequence[str], encode: Callable[[Sequence[str]], np.ndarray], width: int) -> np.ndarray:
    """Encode texts, those that are not remembered once each; ``encoder`` names all that the result depends on beside the text."""
    known = {} if _known is None else _known
    keys = [hashlib.blake2b(f"{encoder}\0{text}".encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts]
    new = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
    rows = dict(zip(new, encode(list(new.values())).astype(np.float32), strict=True)) if new else {}
    if _known is not None and len(_known) + len(rows) <= LIMIT:
        _known.update(rows)
    found = [rows[key] if key in rows else known[key] for key in keys]
    return np.array(found, dtype=np.float64).reshape(len(texts), width)
