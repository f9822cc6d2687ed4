"""Why a container ended, as one of our errors: from its exit code and its last words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from samovar.autoserve.standalone import codes
from samovar.errors import ModelError, NotFound, RegistryUnavailable, SamovarError, SettingsError, Untrusted

if TYPE_CHECKING:
    from samovar.autoserve.runtimes.docker.boxes import Box
    from samovar.autoserve.runtimes.docker.engine import Engine

_KINDS: dict[int, type[SamovarError]] = {
    codes.WRONG_SETTINGS: SettingsError,
    codes.NOT_FOUND: NotFound,
    codes.UNAVAILABLE: RegistryUnavailable,
    codes.UNTRUSTED: Untrusted,
}
_PREFIX = "error: "
_WORDS = 500  # characters of a reason that are passed on


def why(engine: Engine, box: Box) -> SamovarError:
    """Return why a container that should serve does not."""
    state = engine.inspect(box.id)["State"]
    if state.get("OOMKilled"):
        return ModelError("The container was killed for its memory.", remedy="Raise the model's tag samovar.memory_mb.")
    code = int(state.get("ExitCode", 0))
    said = [line.strip() for line in engine.logs(box.id).splitlines() if line.strip()]
    if box.offer.engine == "mlflow":
        return ModelError(f"`mlflow models serve` ended with code {code}: {said[-1][:_WORDS] if said else 'no word'}")
    ours = [line.removeprefix(_PREFIX) for line in said if line.startswith(_PREFIX)]
    reason = ours[-1][:_WORDS] if ours else f"The container ended with code {code} and without a word."
    return _KINDS.get(code, ModelError)(reason)
