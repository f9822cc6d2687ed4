"""The registry: models, versions, aliases and tags of one MLflow server."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from samovar.errors import Conflict, NotFound, RegistryUnavailable, RetryLater, UsageError
from samovar.registry.rest import Rest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PAGE = 1000  # the most MLflow gives at once
_VERSION_PAGE = 10_000
_ALIAS = re.compile(r"[\w-]{1,255}", re.ASCII)
_RESERVED = re.compile(r"v\d+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class AliasState:
    """Where one alias points."""

    model: str
    alias: str
    version: int


@dataclass(frozen=True, slots=True)
class Version:
    """One registered model version.

    Attributes:
        model: registered model.
        version: number in the registry.
        run_id: run that logged it; empty when it was registered without one.
        source: where its files were logged, as MLflow stores it (``models:/m-...`` or an artifact URI).
        tags: version tags.
        created_ms: Unix milliseconds.
        aliases: aliases that pointed to it when it was read.
    """

    model: str
    version: int
    run_id: str
    source: str
    tags: Mapping[str, str] = field(default_factory=dict)
    created_ms: int = 0
    aliases: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What answers call the version: its ``semver`` tag, else ``v<number>``."""
        return self.tags.get("semver") or f"v{self.version}"


@dataclass(frozen=True, slots=True)
class Model:
    """One registered model."""

    name: str
    aliases: Mapping[str, int]
    latest: int
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


class Registry:
    """The registry behind one MLflow server. It connects on first use, and threads may share it.

    Args:
        tracking_uri: address of the server; None is refused when the registry is first used.
        timeout: seconds the server may keep silent.

    Every method raises RegistryUnavailable when MLflow cannot be reached, NotFound when the model, version or alias does not
    exist, and UsageError when MLflow does not accept an argument.
    """

    def __init__(self, tracking_uri: str | None, timeout: float = 10.0) -> None:
        self.tracking_uri = tracking_uri
        self.timeout = timeout
        self._rest: Rest | None = None

    @property
    def rest(self) -> Rest:
        """The connection, opened now if it was not."""
        if self._rest is None:
            if self.tracking_uri is None:
                raise RetryLater(
                    "MLflow is not running.", remedy="Run `samovar up`, or set MLFLOW_TRACKING_URI to a server of yours."
                )
            self._rest = Rest(self.tracking_uri, self.timeout)
        return self._rest

    def close(self) -> None:
        """Drop the connection; the next call opens a new one."""
        if self._rest is not None:
            self._rest.close()
            self._rest = None

    def ping(self) -> None:
        """Return when the server answers and its database does."""
        self.rest.get("registered-models/search", max_results=1)

    def models(self) -> list[Model]:
        """All registered models."""
        return [_model(found) for found in self._walk("registered-models/search", "registered_models", _PAGE)]

    def aliases(self) -> list[AliasState]:
        """Where every alias of every model points, from one listing."""
        return [AliasState(model.name, alias, version) for model in self.models() for alias, version in model.aliases.items()]

    def model(self, model: str) -> Model:
        """One registered model."""
        return _model(self.rest.get("registered-models/get", name=model)["registered_model"])

    def ensure_model(self, model: str, description: str = "") -> None:
        """Create the registered model unless it is there."""
        try:
            self.rest.post("registered-models/create", name=model, description=description)
        except Conflict:
            return

    def version(self, model: str, version: int) -> Version:
        """One version."""
        return _version(self.rest.get("model-versions/get", name=model, version=str(version))["model_version"])

    def by_alias(self, model: str, alias: str) -> Version | None:
        """The version that the alias points to; None when the model or the alias does not exist."""
        try:
            return _version(self.rest.get("registered-models/alias", name=model, alias=alias)["model_version"])
        except NotFound:
            return None

    def versions(self, model: str) -> list[Version]:
        """All versions of the model, oldest first; none when the model does not exist."""
        quote = '"' if "'" in model else "'"
        found = self._walk("model-versions/search", "model_versions", _VERSION_PAGE, filter=f"name = {quote}{model}{quote}")
        return sorted((_version(one) for one in found), key=lambda one: one.version)

    def download_uri(self, version: Version) -> str:
        """Artifact URI of the version's model folder."""
        found = self.rest.get("model-versions/get-download-uri", name=version.model, version=str(version.version))
        return str(found["artifact_uri"])

    def create_version(  # noqa: PLR0913 - a version is all of these
        self, model: str, *, source: str, run_id: str, tags: Mapping[str, str], description: str = "", model_id: str | None = None
    ) -> Version:
        """Register the files at ``source`` as a new version; they must lie inside the run's artifacts, or be the logged model's."""
        body: dict[str, Any] = {"name": model, "source": source, "run_id": run_id, "description": description, "tags": _pairs(tags)}
        if model_id is not None:
            body["model_id"] = model_id
        return _version(self.rest.post("model-versions/create", **body)["model_version"])

    def delete_version(self, model: str, version: int) -> None:
        """Delete one version, and the aliases that point to it."""
        self.rest.delete("model-versions/delete", name=model, version=str(version))

    def set_alias(self, model: str, alias: str, version: int) -> None:
        """Point the alias to the version."""
        check_alias(alias)
        self.rest.post("registered-models/alias", name=model, alias=alias, version=str(version))

    def delete_alias(self, model: str, alias: str) -> None:
        """Delete the alias; no error when it is not there."""
        self.rest.delete("registered-models/alias", name=model, alias=alias)

    def set_version_tag(self, model: str, version: int, key: str, value: str) -> None:
        """Set one tag of a version."""
        self.rest.post("model-versions/set-tag", name=model, version=str(version), key=key, value=value)

    def set_model_tag(self, model: str, key: str, value: str) -> None:
        """Set one tag of a registered model."""
        self.rest.post("registered-models/set-tag", name=model, key=key, value=value)

    def delete_model_tag(self, model: str, key: str) -> None:
        """Delete one tag of a registered model; no error when it is not there."""
        self.rest.delete("registered-models/delete-tag", name=model, key=key)

    def _walk(self, path: str, items: str, page: int, **params: Any) -> Iterator[dict[str, Any]]:
        token: str | None = None
        while True:
            answer = self.rest.get(path, max_results=page, page_token=token, **params)
            found = answer.get(items, [])
            if not isinstance(found, list):
                raise RegistryUnavailable(f"The server at {self.rest.base} does not answer as MLflow does.")
            yield from found
            token = answer.get("next_page_token") or None
            if token is None:
                return


def check_alias(alias: str) -> None:
    """Refuse a name that MLflow would refuse, before anything is recorded about it; raises UsageError."""
    if not _ALIAS.fullmatch(alias) or alias.lower() == "latest" or _RESERVED.fullmatch(alias):
        raise UsageError(
            "MLflow does not accept this alias.",
            remedy="Use letters, digits, _ and -; not `latest`, and not a v before a number.",
        )


def _pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def _tags(found: dict[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag.get("value", "") for tag in found.get("tags", [])}


def _version(found: dict[str, Any]) -> Version:
    return Version(
        model=found["name"],
        version=int(found["version"]),
        run_id=found.get("run_id", ""),
        source=found.get("source", ""),
        tags=_tags(found),
        created_ms=int(found.get("creation_timestamp", 0)),
        aliases=tuple(found.get("aliases", ())),
    )


def _model(found: dict[str, Any]) -> Model:
    latest = [int(one["version"]) for one in found.get("latest_versions", [])]
    return Model(
        name=found["name"],
        aliases={one["alias"]: int(one["version"]) for one in found.get("aliases", [])},
        latest=max(latest, default=0),
        description=found.get("description", ""),
        tags=_tags(found),
    )
