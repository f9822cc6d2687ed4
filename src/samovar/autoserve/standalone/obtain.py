"""From a version's name to its plan: fetched from MLflow, built in a child without credentials, kept for when MLflow is away."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from samovar.autoserve.agent.ledger import write_atomically
from samovar.autoserve.runtimes.process.plancache import read_own
from samovar.errors import NotFound, RetryLater, UsageError
from samovar.logs import get_logger
from samovar.registry.files import fetch_files
from samovar.scoring.builder import run_builder
from samovar.scoring.plan import decode, encode
from samovar.scoring.request import BuildRequest

if TYPE_CHECKING:
    from samovar.autoserve.standalone.options import Options
    from samovar.registry.client import Registry, Version
    from samovar.scoring.plan import ScorerPlan
    from samovar.settings import Settings

log = get_logger(__name__)

_DIGEST = hashlib.sha256().digest_size


def obtain(options: Options, settings: Settings, registry: Registry) -> ScorerPlan:
    """Return the plan of the version that is asked for.

    Raises:
        RegistryUnavailable: MLflow cannot be reached, and the version was not kept.
        NotFound: there is no such model, version or alias.
        Untrusted, ModelError: it cannot be served.
    """
    try:
        version = _version(options, registry)
        request = BuildRequest(
            model=version.model,
            version=version.version,
            run_id=version.run_id,
            label=version.label,
            files=fetch_files(registry, version),
            trusted=options.trust,
            compile=settings.compile == "on",
        )
    except RetryLater as error:
        kept = _kept(options)
        if kept is None:
            raise
        log.warning("MLflow is away; the version that was kept is served", version=kept.version, reason=str(error))
        return kept
    plan = run_builder(request, settings.build_seconds)
    _keep(options, plan)
    return plan


def _version(options: Options, registry: Registry) -> Version:
    if options.version is not None:
        return registry.version(options.model, options.version)
    found = registry.by_alias(options.model, options.alias)
    if found is None:
        raise NotFound("The model does not exist, or has no such alias.", remedy="Set the alias, or give --version.")
    return found


def _path(options: Options) -> Path:
    asked = f"{options.model}\0{options.version or options.alias}\0{options.trust}"
    return Path(options.keep) / f"{hashlib.sha256(asked.encode()).hexdigest()}.plan"


def _keep(options: Options, plan: ScorerPlan) -> None:
    if not options.keep:
        return
    content = encode(plan)
    try:
        Path(options.keep).mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(_path(options), hashlib.sha256(content).digest() + content, durable=True)
    except OSError as error:
        log.warning("the built version cannot be kept", error=error.strerror)


def _kept(options: Options) -> ScorerPlan | None:
    """Return what was kept of the same question; nothing that another user could have written, and nothing damaged."""
    content = read_own(_path(options)) if options.keep else None
    if content is None or hashlib.sha256(content[_DIGEST:]).digest() != content[:_DIGEST]:
        return None
    try:
        plan = decode(content[_DIGEST:])
    except ValueError:
        return None
    return plan if plan.model == options.model and plan.trusted == options.trust else None


def adopt_secret_files() -> None:
    """Read MLflow's credentials from the files that ``*_FILE`` variables name: MLflow itself knows only the plain variables.

    Raises:
        UsageError: a file cannot be read.
    """
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"):
        path = os.environ.get(f"{name}_FILE")
        if path and name not in os.environ:
            try:
                os.environ[name] = Path(path).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise UsageError(
                    f"{name}_FILE names a file that cannot be read ({error.strerror}).",
                    remedy="Check the path and its permissions.",
                ) from None
