"""Artifacts of a version's run, for people: upload, download, list."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from samovar.errors import Conflict, NotFound, UsageError
from samovar.registry import files, runs

if TYPE_CHECKING:
    from samovar.registry.client import Registry, Version


def list_artifacts(registry: Registry, version: Version) -> list[str]:
    """Paths of the files that the version's run logged; for a version without a run, of its model folder."""
    return files.list_files(registry, _root(registry, version))


def upload(registry: Registry, version: Version, source: Path, folder: str = "") -> list[str]:
    """Upload a file, or all files of a folder, into ``folder`` of the run's artifacts; returns the paths written.

    Raises:
        UsageError: the source does not exist, or the folder leads out of the artifacts.
    """
    if not source.exists():
        raise UsageError(f"{source} does not exist.", remedy="Name a file or a folder.")
    inside = _inside(folder)
    found = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]
    root, base = _root(registry, version), source.parent
    written = []
    for path in found:
        target = (inside / path.relative_to(base)).as_posix()
        files.write(registry, root, target, path.read_bytes())
        written.append(target)
    return written


def download(registry: Registry, version: Version, path: str, target: Path) -> list[Path]:
    """Download one artifact, or all below a folder, into the directory ``target``; returns the files written.

    Each file appears whole or not at all; a file that is there already is never replaced.

    Raises:
        NotFound: there is no such artifact.
        Conflict: a file of that name is there already.
    """
    root, inside = _root(registry, version), _inside(path).as_posix().rstrip("/")
    wanted = [one for one in list_artifacts(registry, version) if inside in ("", ".", one) or one.startswith(f"{inside}/")]
    if not wanted:
        raise NotFound(f"{version.model} version {version.version} has no such artifact.", remedy="See `samovar artifact list`.")
    places = {one: target / one for one in wanted}
    for place in places.values():
        if place.exists():
            raise Conflict(f"{place} exists already.", remedy="Remove it, or download to another folder.")
    for one, place in places.items():
        _write_whole(place, files.read_one(registry, root, one))
    return list(places.values())


def _root(registry: Registry, version: Version) -> str:
    return runs.get(registry, version.run_id).artifact_uri if version.run_id else registry.download_uri(version)


def _inside(path: str) -> PurePosixPath:
    found = PurePosixPath(path)
    if found.is_absolute() or ".." in found.parts:
        raise UsageError("An artifact path is relative and does not lead upwards.")
    return found


def _write_whole(place: Path, content: bytes) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=place.parent, prefix=".samovar-")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        Path(name).rename(place)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
