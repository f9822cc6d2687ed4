"""A local MLflow server in one process: ``python -m samovar.registry.server --folder DIR --port N``.

``mlflow server`` imports MLflow to read its options, migrates the database, and then starts uvicorn, which imports MLflow again:
two processes, 444 MB (PSS) and 10 s until it answers. The same application started here takes 240 MB and 4-5 s. What the command
line tells its worker through the environment is told here through the same variables, by the names that MLflow's own module
gives them, so that a release that renames one fails at once.
"""

from __future__ import annotations

import argparse
import base64
import os
from pathlib import Path

from samovar import secret_files

LOOPBACK = "127.0.0.1"
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # a second process of 200 MB for features of generative models
}
_WEBHOOKS = {
    # Autoserve listens on this host without TLS; MLflow's defaults take only public https addresses.
    "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
    "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
    "MLFLOW_WEBHOOK_CACHE_TTL": "1",  # seconds; listing one webhook costs SQLite a millisecond, a stale list loses deliveries
    "MLFLOW_WEBHOOK_REQUEST_TIMEOUT": "5",  # seconds; a receiver that hangs holds one of ten threads
}
_FERNET = "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY"


def serve(folder: Path, port: int) -> None:
    """Serve until a signal comes.

    Args:
        folder: holds ``mlflow.db`` and ``artifacts``; made when missing.
        port: TCP port on the loopback.
    """
    os.environ.update(_QUIET)
    for name, value in _WEBHOOKS.items():
        os.environ.setdefault(name, value)
    if _FERNET not in os.environ:
        # Without a key of its own MLflow makes one up at each start, and can then read no webhook of before.
        os.environ[_FERNET] = secret_files.kept(folder / "webhook.key", _fernet_key)
    from mlflow.server import constants  # noqa: PLC0415 - reads the environment on import
    from mlflow.server.handlers import initialize_backend_stores  # noqa: PLC0415

    artifacts = folder / "artifacts"
    artifacts.mkdir(mode=0o700, parents=True, exist_ok=True)
    store, root = f"sqlite:///{folder / 'mlflow.db'}", "mlflow-artifacts:/"
    os.environ |= {
        constants.BACKEND_STORE_URI_ENV_VAR: store,
        constants.REGISTRY_STORE_URI_ENV_VAR: store,
        constants.ARTIFACT_ROOT_ENV_VAR: root,
        constants.ARTIFACTS_DESTINATION_ENV_VAR: str(artifacts),
        constants.SERVE_ARTIFACTS_ENV_VAR: "true",
    }
    initialize_backend_stores(store, store, root)
    import uvicorn  # noqa: PLC0415 - after MLflow has set up the database, or failed to

    uvicorn.run("mlflow.server.fastapi_app:app", host=LOOPBACK, port=port, log_level="info", access_log=False)


def _fernet_key() -> str:
    """Return a new key as Fernet wants it: 32 random bytes in URL-safe base64."""
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="samovar.registry.server")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    serve(options.folder, options.port)


if __name__ == "__main__":
    main()
