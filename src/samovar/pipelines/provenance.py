"""Where a run came from, logged with it: enough to fit the same parameters again, or to say what has changed since.

``reproduce.json`` holds the candidate with its parameters, the seed, and the digests of data, code, declarations and of what was
fitted; beside them the environment, and the git commit that the project's file was at.
"""

from __future__ import annotations

import inspect
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samovar.pipelines import identity
from samovar.training import canonical, environment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from samovar.project import Project
    from samovar.settings import Settings
    from samovar.training.job import Trained

FILE = "reproduce.json"
_GIT_SECONDS = 5
_TUPLE = "tuple"


def record(
    project: Project, settings: Settings, trained: Trained, dataset: str, commit: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return the document of one candidate, trained on a dataset (its digest) by code at a commit (as `commit` tells it)."""
    return {
        "project": project.name,
        "candidate": trained.name,
        "kind": trained.kind,
        "params": {name: freeze(value) for name, value in sorted(trained.params.items())},
        "seed": settings.seed,
        "dataset": dataset,
        "code": identity.code_digest(project),
        "declared": declared(project, settings),
        "fitted": canonical.digest(trained.model),
        "environment": environment.describe(),
        "git": commit,
    }


def declared(project: Project, settings: Settings) -> dict[str, str]:
    """Digest of each declaration by name."""
    return {name: identity.digest_of(value) for name, value in identity.declarations(project, settings).items()}


def tags(document: Mapping[str, Any]) -> dict[str, str]:
    """What of it the run shows as tags, to search by."""
    found = {"samovar.code": document["code"], "samovar.fitted": document["fitted"]}
    found["samovar.settings"] = identity.digest_of(document["declared"])
    if git := document["git"]:
        found |= {"mlflow.source.git.commit": git["commit"], "samovar.git_dirty": str(git["dirty"]).lower()}
    return found


def commit(project: Project) -> dict[str, Any] | None:
    """The git commit of the folder that the project's file is in, and whether something there differs from it.

    None outside a repository, and where git is not installed or does not answer in time.
    """
    try:
        source = inspect.getsourcefile(inspect.unwrap(project.source))
        if source is None:
            return None
        folder = Path(source).resolve().parent
        head = _git(folder, "rev-parse", "HEAD")
        return {"commit": head, "dirty": bool(_git(folder, "status", "--porcelain", "--", "."))}
    except (OSError, TypeError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *words: str) -> str:
    # Read-only, and without the optional locks that would disturb somebody's commit at the same moment.
    command = ["git", "--no-optional-locks", "-C", str(folder), *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_GIT_SECONDS)
    return done.stdout.strip()


def freeze(value: Any) -> Any:
    """A parameter as JSON that `thaw` turns back: a tuple stays one, since an estimator stores what it was given."""
    if isinstance(value, tuple):
        return {_TUPLE: [freeze(one) for one in value]}
    if isinstance(value, list):
        return [freeze(one) for one in value]
    if isinstance(value, dict):
        return {str(name): freeze(one) for name, one in value.items()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return freeze(value.item()) if hasattr(value, "item") else {"repr": repr(value)}


def thaw(value: Any) -> Any:
    """Undo `freeze`; raises ValueError for what was no plain value."""
    if isinstance(value, list):
        return [thaw(one) for one in value]
    if isinstance(value, dict):
        if set(value) == {_TUPLE}:
            return tuple(thaw(one) for one in value[_TUPLE])
        if set(value) == {"repr"}:
            raise ValueError(value["repr"])
        return {name: thaw(one) for name, one in value.items()}
    return value
