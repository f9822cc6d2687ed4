"""What the prediction log stores of a row: each field is kept, hashed with a key of this machine, or dropped."""

from __future__ import annotations

import hashlib
import os
import secrets
from typing import TYPE_CHECKING, Any

from samovar.serving.spool.records import LoggedField

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from samovar.contracts.spec import FieldSpec
    from samovar.scoring.plan import ScorerPlan

KEY_FILE = "hash.key"
_KEY_BYTES = 32
_DIGEST = 16


class Hasher:
    """Keyed BLAKE2b: equal values stay equal, and nobody without the key can try values until one fits.

    Args:
        key: 32 secret bytes.
    """

    def __init__(self, key: bytes) -> None:
        self._start = hashlib.blake2b(key=key, digest_size=_DIGEST)

    def __call__(self, value: Any) -> bytes | None:
        """Return 16 bytes that stand for the value's text; None (no value) stays None."""
        if value is None:
            return None
        made = self._start.copy()
        made.update(str(value).encode("utf-8", "surrogatepass"))
        return made.digest()


class Privacy:
    """The policies of one contract.

    Args:
        fields: the values of a row, in their order.
        key: the contract's key, if it has one.
        hasher: for fields with the policy ``hash``.
    """

    def __init__(self, fields: Sequence[LoggedField], key: LoggedField | None, hasher: Hasher) -> None:
        self.fields = tuple(fields)
        self.key = key
        self.as_is = all(field.log == "keep" for field in self.fields)
        self.key_as_is = key is None or key.log == "keep"
        self._hash = hasher
        self._kept = [(place, field.log == "hash") for place, field in enumerate(self.fields) if field.log != "drop"]

    def row(self, values: Sequence[Any]) -> Sequence[Any]:
        """Return what is stored of one row."""
        hashed = self._hash
        return [hashed(values[place]) if secret else values[place] for place, secret in self._kept]

    def columns(self, columns: Sequence[Sequence[Any]]) -> list[Any]:
        """Return what is stored of n rows."""
        if self.as_is:
            return list(columns)
        return [_hashed(self._hash, columns[place]) if secret else columns[place] for place, secret in self._kept]

    def row_key(self, key: Any) -> Any:
        """Return what is stored of a row's key."""
        if self.key is None or self.key.log == "drop":
            return None
        return key if self.key.log == "keep" else self._hash(key)

    def keys(self, keys: Sequence[Any] | None) -> Any:
        """Return what is stored of n keys."""
        if keys is None or self.key is None or self.key.log == "drop":
            return None
        return keys if self.key.log == "keep" else _hashed(self._hash, keys)


def _hashed(hasher: Hasher, values: Any) -> list[bytes | None]:
    """Hash a column; numpy's scalars must hash like Python's."""
    plain = values.tolist() if hasattr(values, "tolist") else values
    return [hasher(value) for value in plain]


def logged_fields(plan: ScorerPlan) -> tuple[tuple[LoggedField, ...], LoggedField | None]:
    """Return what becomes of the values of a row, in the order of the model's signature, and of the key."""
    contract = plan.contract.contract
    policies = {field.name: field.log for field in contract.fields}
    names = [column.name or str(place) for place, column in enumerate(plan.signature)]
    return tuple(LoggedField(name, policies.get(name, "keep")) for name in names), _logged(contract.key)


def _logged(key: FieldSpec | None) -> LoggedField | None:
    return None if key is None else LoggedField(key.name, key.log)


def read_key(folder: Path) -> bytes:
    """Return the key of this machine's hashes; the first who asks makes it, for its owner's eyes only.

    Raises:
        OSError: it can neither be read nor made.
    """
    path = folder / KEY_FILE
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = folder / f".{KEY_FILE}.{os.getpid()}.{secrets.token_hex(4)}"
        try:
            file = os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            with os.fdopen(file, "wb") as opened:
                opened.write(secrets.token_bytes(_KEY_BYTES))
                opened.flush()
                os.fsync(file)
            _publish(new, path)
        finally:
            new.unlink(missing_ok=True)
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise OSError(f"{path} is no key of hashes: {len(key)} bytes")
    return key


def _publish(new: Path, path: Path) -> None:
    """Give the file its name, unless another process was faster: then its key is the key."""
    try:
        os.link(new, path)
    except FileExistsError:
        return
