"""Prepared matrices on disk, found by the digest of all that goes into them: never stale, only unused.

An entry is a folder that appears whole, by one rename. The least recently used make room. Matrices are mapped, not read; whoever
has one mapped keeps it though the entry is removed meanwhile. Several processes may share a store.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pickle
import secrets
import shutil
import stat
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Iterator

_MANIFEST = "manifest.json"
_OBJECT = "object.pickle"
_SPARSE = ("data", "indices", "indptr")
_DRAFT = ".draft."
_LOCKS = ".locks"


class FeatureStore:
    """Keeps matrices, each with an object that belongs to it, in a folder that only this user may open.

    Args:
        folder: made when the first entry is kept.
        limit: bytes that all entries may take together.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._checked: set[str] = set()  # entries whose content this process has compared with its check sums

    def get(self, key: str) -> tuple[Any, bytes] | None:
        """Return an entry's matrix and its object's pickle, or None; a damaged entry is as good as none."""
        entry = self._folder / key
        try:
            if not _own(entry):
                return None
            manifest = json.loads((entry / _MANIFEST).read_bytes())
            if key not in self._checked and not _whole(entry, manifest["files"]):
                shutil.rmtree(entry, ignore_errors=True)
                return None
            found = _matrix(entry, manifest), (entry / _OBJECT).read_bytes()
            os.utime(entry)  # the oldest ones make room: this one is young again
        except (OSError, ValueError, KeyError):  # never kept, or another process makes room at this moment
            return None
        self._checked.add(key)
        return found

    def put(self, key: str, matrix: Any, companion: Any = None) -> bool:
        """Keep a matrix and an object; False when it cannot be kept, which costs only time."""
        if sum(array.nbytes for array in _arrays(matrix).values()) > self._limit:  # before a disk is filled with it
            return False
        draft = self._folder / f"{_DRAFT}{os.getpid()}.{secrets.token_hex(4)}"
        try:
            draft.mkdir(parents=True, mode=0o700)
            size = _write(draft, matrix, pickle.dumps(companion, protocol=5))
            if size > self._limit:
                return False
            self._make_room(size)
            draft.rename(self._folder / key)
        except OSError:  # a full disk, or another process was faster
            return (self._folder / key).is_dir()
        except (pickle.PicklingError, TypeError, AttributeError):  # an object that cannot be kept
            return False
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        self._checked.add(key)
        return True

    @contextlib.contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Let one process at a time make an entry: the others wait and find it. Released by the kernel however its holder dies."""
        locks = self._folder / _LOCKS
        try:
            locks.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(locks / key[:2], os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:  # a folder that takes nothing: nothing will be kept, so there is nothing to wait for
            yield
            return
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _make_room(self, size: int) -> None:
        kept = sorted(self._kept())
        total = size + sum(length for _, length, _ in kept)
        for _, length, entry in kept:
            if total <= self._limit:
                return
            gone = entry.with_name(f"{_DRAFT}{os.getpid()}.{secrets.token_hex(4)}")
            with contextlib.suppress(OSError):
                entry.rename(gone)  # whole or not there, also while it is removed
                shutil.rmtree(gone, ignore_errors=True)
            total -= length

    def _kept(self) -> Iterator[tuple[int, int, Path]]:
        for entry in self._folder.iterdir():
            with contextlib.suppress(OSError):
                if entry.name.startswith(_DRAFT):
                    _remove_if_abandoned(entry)
                elif entry.name != _LOCKS:
                    yield entry.stat().st_mtime_ns, sum(file.stat().st_size for file in entry.iterdir()), entry


def storable(matrix: Any) -> bool:
    """Return whether a store can keep such a matrix: numbers, dense or in compressed rows."""
    if isinstance(matrix, sparse.csr_matrix | sparse.csr_array):
        return True
    return type(matrix) is np.ndarray and matrix.dtype != object


def _arrays(matrix: Any) -> dict[str, np.ndarray]:
    return {name: getattr(matrix, name) for name in _SPARSE} if sparse.issparse(matrix) else {"dense": matrix}


def _write(folder: Path, matrix: Any, companion: bytes) -> int:
    for name, array in _arrays(matrix).items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)
    (folder / _OBJECT).write_bytes(companion)
    files = {file.name: _sum(file) for file in folder.iterdir()}
    manifest = {"files": files, "form": type(matrix).__name__, "shape": matrix.shape}
    (folder / _MANIFEST).write_text(json.dumps(manifest))
    return sum(file.stat().st_size for file in folder.iterdir())


def _matrix(folder: Path, manifest: dict[str, Any]) -> Any:
    if manifest["form"] == "ndarray":
        return _mapped(folder / "dense.npy")
    form = sparse.csr_array if manifest["form"] == "csr_array" else sparse.csr_matrix
    return form(tuple(_mapped(folder / f"{name}.npy") for name in _SPARSE), shape=tuple(manifest["shape"]))


def _mapped(path: Path) -> np.ndarray:
    # Copied on write: an estimator may work in place on what it is given, and the file stays as it is.
    mapped: np.ndarray = np.load(path, mmap_mode="c", allow_pickle=False)
    return mapped.view(np.ndarray)


def _whole(folder: Path, files: dict[str, list[int]]) -> bool:
    """After a crash of the host a file may have its length and not its content."""
    return all(_sum(folder / name) == known for name, known in files.items())


def _sum(path: Path) -> list[int]:
    total, size = 0, 0
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            total, size = zlib.crc32(part, total), size + len(part)
    return [size, total]


def _own(entry: Path) -> bool:
    """Return whether nobody but this user can have written an entry: it holds a pickle."""
    found = entry.lstat()
    writable = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not writable


def _remove_if_abandoned(draft: Path) -> None:
    """Remove what a killed process left behind."""
    if not Path(f"/proc/{draft.name.removeprefix(_DRAFT).partition('.')[0]}").exists():
        shutil.rmtree(draft, ignore_errors=True)
