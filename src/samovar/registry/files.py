"""Artifact files: read into memory, written, and listed; through the server's proxy, or through MLflow for other stores."""

from __future__ import annotations

import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit

from samovar.errors import ModelError, NotFound, RegistryUnavailable, SamovarError
from samovar.registry.rest import FILES

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.registry.client import Registry, Version

T = TypeVar("T")

LIMIT = 2 << 30
"""Largest model folder that is read, in bytes: it must fit into an endpoint's memory."""


def fetch_files(registry: Registry, version: Version, limit: int = LIMIT) -> dict[str, bytes]:
    """Read all files of the version's model folder into memory; nothing of the server's proxy touches the disk.

    Returns:
        Path inside the model's folder -> content.

    Raises:
        NotFound: the folder is empty or gone.
        ModelError: the folder is larger than ``limit`` bytes.
        RegistryUnavailable: MLflow or its artifact store cannot be reached.
    """
    files = read_folder(registry, registry.download_uri(version), limit)
    if not files:
        raise NotFound(
            f"{version.model} version {version.version} has no files in its artifact store.", remedy="Log and register it again."
        )
    return files


def read_folder(registry: Registry, uri: str, limit: int = LIMIT) -> dict[str, bytes]:
    """Read all files below an artifact URI into memory; an empty dict when there are none."""
    root = proxied(registry, uri)
    if root is None:
        return _through_mlflow(registry, uri, limit)
    files: dict[str, bytes] = {}
    room = limit
    for path in walk(registry, root):
        files[path] = _read(registry, f"{root}/{path}", room)
        room -= len(files[path])
    return files


def read_one(registry: Registry, uri: str, path: str, limit: int = LIMIT) -> bytes:
    """Read one file below an artifact URI; raises NotFound if it is not there."""
    root = proxied(registry, uri)
    if root is not None:
        return _read(registry, f"{root}/{path}", limit)
    try:
        return _through_mlflow(registry, uri, limit)[path]
    except KeyError:
        raise NotFound("There is no such artifact.") from None


def list_files(registry: Registry, uri: str) -> list[str]:
    """List the files below an artifact URI, as paths relative to it."""
    root = proxied(registry, uri)
    if root is not None:
        return walk(registry, root)
    return sorted(_guarded(lambda: _walk_store(_repository(registry, uri))))


def walk(registry: Registry, root: str) -> list[str]:
    """List the files below a folder of the proxy, as paths relative to it."""
    found: list[str] = []
    folders = [""]
    while folders:
        folder = folders.pop()
        for entry in _list(registry, f"{root}/{folder}".rstrip("/")):
            path = f"{folder}/{_safe(entry['path'])}".lstrip("/")
            (folders if entry.get("is_dir") else found).append(path)
    return sorted(found)


def write(registry: Registry, uri: str, path: str, content: bytes) -> None:
    """Write one file below an artifact URI; a file of that name is replaced."""
    root = proxied(registry, uri)
    if root is not None:
        registry.rest.request("PUT", f"{FILES}/{quote(f'{root}/{path}')}", content=content)
        return
    with tempfile.TemporaryDirectory(prefix="samovar-") as private:
        local = Path(private, PurePosixPath(path).name)
        local.write_bytes(content)
        folder = str(PurePosixPath(path).parent)
        _guarded(lambda: _repository(registry, uri).log_artifact(str(local), None if folder == "." else folder))


def proxied(registry: Registry, uri: str) -> str | None:
    """Path below the tracking server's artifact proxy; None when the URI is of another store or another server."""
    parts = urlsplit(uri)
    if parts.scheme != "mlflow-artifacts":
        return None
    if parts.netloc and parts.netloc != urlsplit(registry.rest.base).netloc:
        return None
    return parts.path.strip("/")


def _walk_store(repository: Any) -> list[str]:
    found: list[str] = []
    folders: list[str | None] = [None]
    while folders:
        for entry in repository.list_artifacts(folders.pop()):
            (folders if entry.is_dir else found).append(entry.path)
    return found


def _list(registry: Registry, folder: str) -> list[dict[str, Any]]:
    found = registry.rest.request("GET", FILES, params={"path": folder}).json().get("files", [])
    return list(found)


def _safe(name: str) -> str:
    """Refuse a name with which a broken store would lead out of the folder."""
    name = PurePosixPath(name).name  # the proxy gives bare names, other stores' listings may give whole paths
    if name in ("", ".."):
        raise RegistryUnavailable("The artifact store lists a file name that cannot be.")
    return name


def _read(registry: Registry, path: str, room: int) -> bytes:
    try:
        return registry.rest.stream(f"{FILES}/{quote(path)}", room)
    except ValueError:
        raise ModelError("The model's folder is larger than an endpoint may load.", remedy="Log a smaller model.") from None


def _through_mlflow(registry: Registry, uri: str, limit: int) -> dict[str, bytes]:
    """Read a folder of a store that the server does not proxy, by way of a private directory that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="samovar-") as private:
        local = Path(_guarded(lambda: _repository(registry, uri).download_artifacts("", dst_path=private)))
        paths = sorted(path for path in local.rglob("*") if path.is_file())
        if sum(path.stat().st_size for path in paths) > limit:
            raise ModelError("The model's folder is larger than an endpoint may load.", remedy="Log a smaller model.")
        return {path.relative_to(local).as_posix(): path.read_bytes() for path in paths}


def _repository(registry: Registry, uri: str) -> Any:
    from samovar.registry.mlflow_library import artifact_repository  # noqa: PLC0415 - two seconds, only where needed

    return artifact_repository(uri, registry.rest.base, registry.timeout)


def _guarded(call: Callable[[], T]) -> T:
    try:
        return call()
    except SamovarError:
        raise
    except Exception as error:  # the store's own client raises what it likes
        raise RegistryUnavailable(
            f"The artifact store cannot be read or written ({type(error).__name__}).",
            remedy="Check its address and credentials, or let the MLflow server proxy artifacts.",
        ) from error
