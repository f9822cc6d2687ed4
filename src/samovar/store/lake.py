"""The lake: snapshots of datasets as Parquet files in a folder or an S3 bucket, each named by the digest of its content.

A snapshot is written once and never changes; storing the same rows again writes nothing. A kill leaves no half-written one: a
folder gets the file by renaming it, S3 shows an object only when it is complete.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl

from samovar.errors import DataError, NotFound, SettingsError, StoreUnavailable
from samovar.store import content
from samovar.store.files import atomic_write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from samovar.settings import Settings


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    """One stored frame: the digest of its content, where it is, and how many rows it has."""

    digest: str
    url: str
    rows: int


class Files(Protocol):
    """What a lake needs of the place that it is in. Names are paths below the lake's root."""

    root: str

    def exists(self, name: str) -> bool:
        """Return whether there is a complete file."""

    def write(self, name: str, data: bytes) -> None:
        """Store a file, whole or not at all."""

    def read(self, name: str) -> bytes:
        """Return a file's content; raises FileNotFoundError."""


class Lake:
    """Snapshots of all projects."""

    def __init__(self, files: Files) -> None:
        self._files = files

    @property
    def root(self) -> str:
        """Folder or URL of the lake."""
        return self._files.root

    def put(self, project: str, frame: pl.DataFrame) -> Snapshot:
        """Store a frame; one that is there already is left alone.

        Raises:
            StoreUnavailable: the lake cannot be written.
        """
        digest = content.digest(frame)
        name = f"{project}/{digest}.parquet"
        with self._translated():
            if not self._files.exists(name):
                self._files.write(name, _to_parquet(frame))
        return Snapshot(digest, f"{self.root}/{name}", frame.height)

    def read(self, url: str) -> pl.DataFrame:
        """Return the frame of a snapshot, checked against the digest it is named by.

        Raises:
            NotFound: there is no such snapshot in this lake.
            DataError: the file is not what was stored.
            StoreUnavailable: the lake cannot be read.
        """
        name = url.removeprefix(f"{self.root}/")
        if name == url:
            raise NotFound("The snapshot is not in this lake.", remedy=f"Set SAMOVAR_LAKE_URL to the one that holds {url}.")
        with self._translated():
            try:
                data = self._files.read(name)
            except FileNotFoundError:
                raise NotFound(f"There is no snapshot {url}.", remedy="Run `samovar ingest` again.") from None
        return _checked(data, url)

    def lacks(self, url: str) -> bool:
        """Return whether a snapshot that belongs into this lake is not there (any more).

        Raises:
            StoreUnavailable: the lake cannot be read.
        """
        name = url.removeprefix(f"{self.root}/")
        with self._translated():
            return name != url and not self._files.exists(name)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = (error.strerror or str(error)).strip().split("\n", 1)[0]
            raise StoreUnavailable(
                f"The lake {self.root} cannot be used: {reason}.",
                remedy="Check SAMOVAR_LAKE_URL, its permissions and its credentials.",
            ) from None


def open_lake(settings: Settings) -> Lake:
    """Open the lake that the settings name; nothing is reached before it is used.

    Raises:
        SettingsError: the URL is neither a folder nor ``s3://bucket/prefix``.
    """
    url = settings.lake_url or str(settings.state / "lake")
    if url.startswith("s3://"):
        from samovar.store.s3 import Bucket  # noqa: PLC0415 - PyArrow's S3 client takes 0.2 s that a folder need not spend

        return Lake(Bucket(url.rstrip("/")))
    path = url.removeprefix("file://")
    if "://" in path:
        raise SettingsError("SAMOVAR_LAKE_URL is neither a folder nor an S3 URL.", remedy="Use a path or s3://bucket/prefix.")
    return Lake(Folder(Path(path).expanduser().absolute()))


class Folder:
    """A lake in a folder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.root = str(path)

    def exists(self, name: str) -> bool:
        """Return whether there is a complete file."""
        return (self._path / name).is_file()

    def write(self, name: str, data: bytes) -> None:
        """Store a file, whole or not at all."""
        atomic_write(self._path / name, data)

    def read(self, name: str) -> bytes:
        """Return a file's content."""
        return (self._path / name).read_bytes()


def _to_parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.rechunk().write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def _checked(data: bytes, url: str) -> pl.DataFrame:
    wanted = url.rpartition("/")[2].removesuffix(".parquet")
    frame: Any = None
    with contextlib.suppress(pl.exceptions.PolarsError, OSError):
        frame = pl.read_parquet(io.BytesIO(data))
    if frame is None or content.digest(frame) != wanted:
        raise DataError(f"The snapshot {url} is not what was stored.", remedy="Delete the file and run `samovar ingest` again.")
    checked: pl.DataFrame = frame
    return checked
