"""What a logged model asks of its environment, and whether this host has it. Pure.

Not every difference matters. The libraries that the model's flavor loads must be as they were logged, because they read the model
and compute its answers. All others must be there, and of the same major version: a later patch of a library beside the model
changes nothing, and an environment for each of them would be a waste of disks. A model that brings code of its own may import
anything, so there every pin holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from collections.abc import Mapping

Installed = Callable[[str], str | None]
"""The version of a distribution on this host; None when it is not there."""

_OURS = frozenset({"mlflow", "mlflow-skinny", "mlflow-tracing", "onnx", "samovar", "pip", "setuptools", "wheel"})
"""Read nothing and compute nothing: this host's are always as good."""

_BESIDE = frozenset(
    {"numpy", "pandas", "scipy", "polars", "pyarrow", "cloudpickle", "skops", "joblib", "threadpoolctl", "psutil", "packaging"}
    | {"pyyaml", "typing-extensions", "defusedxml", "tqdm"}
)
"""Keep their promises within a major version, also to models with code of their own."""

_FLAVORS = {
    "sklearn": ("scikit-learn",),
    "pytorch": ("torch",),
    "keras": ("keras", "tensorflow"),
    "onnx": ("onnxruntime",),
    "transformers": ("transformers", "torch"),
    "sentence_transformers": ("sentence-transformers", "transformers", "torch"),
}
"""Libraries of MLflow's flavors that are not called like the flavor."""


class Requirements(msgspec.Struct, frozen=True):
    """What a model's folder says.

    Attributes:
        lines: the lines of its requirements, without comments, sorted.
        constraints: the lines of its constraints file.
        strict: libraries whose pins hold to the letter; None when all do.
    """

    lines: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    strict: frozenset[str] | None = None

    @property
    def own(self) -> tuple[str, ...]:
        """What an environment must bring: all but what is this host's in any case."""
        return tuple(line for line in self.lines if _name(line) not in _OURS)


def read(files: Mapping[str, bytes]) -> Requirements | None:
    """Read a model's folder; None when it asks for nothing that can be read."""
    lines = _lines(files.get("requirements.txt", b"")) or _conda(files.get("conda.yaml", b""))
    if not lines:
        return None
    return Requirements(tuple(sorted(lines)), tuple(_lines(files.get("constraints.txt", b""))), _strict(files.get("MLmodel", b"")))


def differences(asked: Requirements, installed: Installed) -> tuple[str, ...]:
    """Say what this host has otherwise than the model needs it, each in a few words; empty when it runs here."""
    found = []
    for line in asked.own:
        if line.startswith("-"):
            continue  # an option of the installer: nothing to compare
        try:
            wanted = Requirement(line)
        except InvalidRequirement:  # a file or a repository: whatever it is, this host has it not
            found.append(f"{line.split()[0]} is not on this host")
            continue
        if wanted.marker is not None and not wanted.marker.evaluate():
            continue
        here = installed(canonicalize_name(wanted.name))
        if here is None:
            found.append(f"{wanted.name} is not on this host")
        elif wanted.url or not _fits(wanted, here, asked.strict):
            found.append(f"{wanted.name}{wanted.specifier or ' from elsewhere'} (here {here})")
    return tuple(found)


def digest(asked: Requirements, *host: str) -> str:
    """Name the environment that these requirements make on a host that is described by ``host``, as 32 hex digits."""
    content = msgspec.json.encode([sorted(_normal(line) for line in asked.own), asked.constraints, host])
    return hashlib.sha256(content).hexdigest()[:32]


def _fits(wanted: Requirement, here: str, strict: frozenset[str] | None) -> bool:
    if wanted.specifier.contains(here, prereleases=True):
        return True
    name = canonicalize_name(wanted.name)
    holds = name not in _BESIDE if strict is None else name in strict
    pins = [spec.version for spec in wanted.specifier if spec.operator in {"==", "~="}]
    return not holds and len(pins) == len(wanted.specifier) and all(_major(pin) == _major(here) for pin in pins)


def _major(version: str) -> int | str:
    try:
        return Version(version.rstrip(".*")).major
    except InvalidVersion:
        return version


def _strict(mlmodel: bytes) -> frozenset[str] | None:
    flavors = (_mapping(mlmodel).get("flavors") or {}) if mlmodel else {}
    pyfunc: dict[str, Any] = flavors.get("python_function") or {}
    package, _, flavor = str(pyfunc.get("loader_module") or "").partition(".")
    if package != "mlflow" or flavor.startswith("pyfunc") or pyfunc.get("code"):
        return None
    return frozenset(_FLAVORS.get(flavor, (canonicalize_name(flavor),)))


def _conda(content: bytes) -> list[str]:
    parts = _mapping(content).get("dependencies") or [] if content else []
    return [str(line).strip() for part in parts if isinstance(part, dict) for line in part.get("pip") or []]


def _mapping(content: bytes) -> dict[str, Any]:
    try:
        return msgspec.yaml.decode(content, type=dict[str, Any])
    except msgspec.MsgspecError:
        return {}


def _lines(content: bytes) -> list[str]:
    text = content.decode(errors="replace").splitlines()
    return [line for line in (raw.partition(" #")[0].strip() for raw in text) if line and not line.startswith("#")]


def _name(line: str) -> str:
    try:
        return canonicalize_name(Requirement(line).name)
    except InvalidRequirement:
        return ""


def _normal(line: str) -> str:
    try:
        wanted = Requirement(line)
    except InvalidRequirement:
        return line
    wanted.name = canonicalize_name(wanted.name)
    return str(wanted)
