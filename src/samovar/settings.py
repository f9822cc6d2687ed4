"""The one settings tree: environment, ``.env`` and ``*_FILE`` secrets, in this order of strength.

Each field says its unit, its default and why. A setting whose name ends in ``password`` or ``token`` may be given as
``NAME_FILE``, the path of a file that holds it; it is never printed.
"""

from __future__ import annotations

import functools
import os
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field, IPvAnyAddress, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from samovar.errors import SettingsError

LOOPBACK = "127.0.0.1"


def _env(*names: str) -> Any:
    return AliasChoices(*names)


class _SecretFiles(PydanticBaseSettingsSource):
    """Reads ``NAME_FILE`` for every secret field; a missing file is an error, not an empty secret."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - the base class's signature
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, field in self.settings_cls.model_fields.items():
            if field.annotation != SecretStr | None:
                continue
            for alias in getattr(field.validation_alias, "choices", [name]):
                path = os.environ.get(f"{alias}_FILE")
                if path:
                    found[str(alias)] = _read_secret(f"{alias}_FILE", Path(path))
        return found


def _read_secret(variable: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(
            f"{variable} names a file that cannot be read ({error.strerror}).", remedy="Check the path and its permissions."
        ) from None


class Settings(BaseSettings):
    """All settings of all parts."""

    # Not populate_by_name: environment variables called like a field (HOME!) would then be taken for settings.
    model_config = SettingsConfigDict(env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True)

    # --- where things live -------------------------------------------------------------------------------------------------
    home: Path = Field(Path(".samovar"), validation_alias=_env("SAMOVAR_HOME"))
    """Folder of all state. Default: beside the project, so that deleting one folder deletes everything."""
    database_url: str | None = Field(None, validation_alias=_env("SAMOVAR_DATABASE_URL"))
    """SQLAlchemy URL of the app database. None: SQLite inside ``home`` (no server to run)."""
    postgres_user: str = Field("samovar", validation_alias=_env("POSTGRES_USER"))
    """User put into a PostgreSQL URL that names none."""
    postgres_password: SecretStr | None = Field(None, validation_alias=_env("POSTGRES_PASSWORD"))
    """Password put into a PostgreSQL URL that holds none. No default on purpose."""
    lake_url: str | None = Field(None, validation_alias=_env("SAMOVAR_LAKE_URL"))
    """Folder or ``s3://bucket/prefix`` of the Parquet snapshots. None: ``home/lake``."""

    # --- MLflow ------------------------------------------------------------------------------------------------------------
    mlflow_tracking_uri: str | None = Field(None, validation_alias=_env("MLFLOW_TRACKING_URI"))
    """Address of the MLflow server. None: the server that ``samovar up`` started."""
    mlflow_port: int = Field(5000, ge=1, le=65535, validation_alias=_env("MLFLOW_PORT"))
    """Port of the local MLflow server; the next free one is taken when it is busy."""
    mlflow_timeout: float = Field(10.0, gt=0, validation_alias=_env("SAMOVAR_MLFLOW_TIMEOUT"))
    """Seconds one MLflow request may take. MLflow's own default waits minutes on a dead server."""

    # --- autoserve and endpoints -------------------------------------------------------------------------------------------
    autoserve_port: int = Field(8090, ge=1, le=65535, validation_alias=_env("SAMOVAR_AUTOSERVE_PORT"))
    """Port of the controller's API; the next free one is taken when it is busy."""
    endpoint_port_base: int = Field(8100, ge=1024, le=64000, validation_alias=_env("SAMOVAR_ENDPOINT_PORT_BASE"))
    """First port given to endpoints; below the kernel's ephemeral range, so that no client socket takes one."""
    autoserve_host: IPvAnyAddress = Field(IPv4Address(LOOPBACK), validation_alias=_env("SAMOVAR_AUTOSERVE_HOST"))
    """Address that the controller's API listens at. Default: this host alone. Any other demands API keys, or ``auth`` off."""
    poll_seconds: float = Field(1.0, gt=0, le=3600, validation_alias=_env("SAMOVAR_POLL_SECONDS"))
    """Seconds between two listings of the registry. A listing of 100 models costs MLflow 26 ms (SQLite)."""
    doorbell: Literal["on", "off"] = Field("on", validation_alias=_env("SAMOVAR_DOORBELL"))
    """Whether autoserve registers a webhook with MLflow, so that it hears of a moved alias at once instead of at the next poll."""
    doorbell_poll_seconds: float = Field(5.0, gt=0, le=3600, validation_alias=_env("SAMOVAR_DOORBELL_POLL_SECONDS"))
    """Seconds between two listings while MLflow is known to ring: what a delivery that is lost may cost. Never less than
    ``poll_seconds``."""
    advertised_url: str | None = Field(None, validation_alias=_env("SAMOVAR_ADVERTISED_URL"))
    """Where MLflow reaches the controller, such as ``http://mlflow-autoserve:8090``. None: the address it listens at, if that can
    be reached from where MLflow runs."""
    gateway: Literal["auto", "on", "off"] = Field("auto", validation_alias=_env("SAMOVAR_GATEWAY"))
    """Whether ``samovar up`` runs one address for all models. ``auto``: if Traefik is installed (the extra ``gateway``)."""
    gateway_host: IPvAnyAddress = Field(IPv4Address(LOOPBACK), validation_alias=_env("SAMOVAR_GATEWAY_HOST"))
    """Address that the gateway listens at. Default: this host alone. Any other demands API keys, or ``auth`` off."""
    gateway_port: int = Field(8080, ge=1, le=65535, validation_alias=_env("SAMOVAR_GATEWAY_PORT"))
    """Port of the gateway; the next free one is taken when it is busy."""
    gateway_metrics_port: int = Field(8082, ge=1, le=65535, validation_alias=_env("SAMOVAR_GATEWAY_METRICS_PORT"))
    """Port of the gateway's own health and metrics, on this host alone; the next free one is taken when it is busy."""
    webhook_secret: SecretStr | None = Field(None, validation_alias=_env("SAMOVAR_WEBHOOK_SECRET"))
    """What MLflow signs its deliveries with. None: made at the first start and kept in ``home/webhook.secret``."""
    lease_seconds: float = Field(15.0, ge=1, le=3600, validation_alias=_env("SAMOVAR_LEASE_SECONDS"))
    """A controller that has not renewed its lease for so long is replaced by one that stands by. Renewed three times as often."""
    builders: int = Field(2, ge=1, le=64, validation_alias=_env("SAMOVAR_BUILDERS"))
    """Model versions built at once. Default: the cores of a small laptop; each takes a core and the memory of a model."""
    drain_seconds: float = Field(80.0, gt=0, le=3600, validation_alias=_env("SAMOVAR_DRAIN_SECONDS"))
    """Longest time a replaced worker may take to leave. It goes as soon as nobody is connected. Above the 75 s after which idle
    connections are closed anyhow: a swap closes none earlier, whose client may be sending its next request just then."""
    body_limit_mb: float = Field(16.0, gt=0, validation_alias=_env("SAMOVAR_BODY_LIMIT_MB"))
    """Largest request body an endpoint reads, in megabytes: 100,000 rows of a wide table."""
    max_rows: int = Field(100_000, ge=1, validation_alias=_env("SAMOVAR_MAX_ROWS"))
    """Largest number of rows in one request: what ``body_limit_mb`` holds when its rows are of ordinary size."""
    batch_rows: int = Field(1024, ge=1, validation_alias=_env("SAMOVAR_BATCH_ROWS"))
    """Rows of one call to a model when requests are joined; 1 joins none. Spreads the milliseconds that a call of pandas costs."""
    queue_jobs: int = Field(512, ge=1, validation_alias=_env("SAMOVAR_QUEUE_JOBS"))
    """Requests that may wait for a model before more are told to come later (429). Fewer than ``max_connections``."""
    deadline_seconds: float = Field(30.0, gt=0, le=3600, validation_alias=_env("SAMOVAR_DEADLINE_SECONDS"))
    """Longest time between a request and its answer (504). Half of what clients usually wait."""
    max_connections: int = Field(1000, ge=1, validation_alias=_env("SAMOVAR_MAX_CONNECTIONS"))
    """Connections of one worker at once. Below the 1,024 descriptors that many systems give a process."""
    endpoint_host: IPvAnyAddress = Field(IPv4Address(LOOPBACK), validation_alias=_env("SAMOVAR_ENDPOINT_HOST"))
    """Address that endpoints listen at. Default: this host alone. Any other demands API keys, or ``auth`` off."""
    auth: Literal["keys", "off"] = Field("keys", validation_alias=_env("SAMOVAR_AUTH"))
    """``keys``: endpoints ask for an API key if there is a file of them. ``off``: they ask nobody, whoever can reach them."""
    api_keys_file: Path | None = Field(None, validation_alias=_env("SAMOVAR_API_KEYS_FILE"))
    """File of API keys' hashes, written by `samovar keys`. None: ``home/api-keys.json``."""
    api_key_hashes: str = Field("", validation_alias=_env("SAMOVAR_API_KEY_HASHES"))
    """Comma-separated hashes of API keys, beside those of the file: for containers, which have no file. A hash is no secret."""
    keyless_paths: str = Field("/ping,/health,/v2/health/live,/v2/health/ready", validation_alias=_env("SAMOVAR_KEYLESS_PATHS"))
    """Comma-separated paths that need no key. Default: probes. Add ``/metrics`` where Prometheus has no key."""
    hang_seconds: float = Field(30.0, ge=3, le=3600, validation_alias=_env("SAMOVAR_HANG_SECONDS"))
    """A worker whose event loop stands still for so long is replaced. Longer than the largest request takes on the loop."""
    build_seconds: float = Field(120.0, gt=0, validation_alias=_env("SAMOVAR_BUILD_SECONDS"))
    """Longest time a builder may take over one model version before it counts as failed."""
    compile: Literal["on", "off"] = Field("on", validation_alias=_env("SAMOVAR_COMPILE"))
    """Whether models are lowered to compiled scorers. ``off``: the native model always answers, to compare or to find a cause."""
    plan_cache: Path | None = Field(None, validation_alias=_env("SAMOVAR_PLAN_CACHE"))
    """Folder of plans built before. None: ``home/cache/plans``. Safe to delete at any time."""
    plan_cache_mb: float = Field(512.0, ge=0, validation_alias=_env("SAMOVAR_PLAN_CACHE_MB"))
    """Megabytes that kept plans may take; the least recently used make room. 0 keeps none. Default: hundreds of small models."""
    workers: int = Field(1, ge=1, le=64, validation_alias=_env("SAMOVAR_WORKERS"))
    """Worker processes of each endpoint. Default: one answers thousands of requests a second, and each holds the model."""
    environments: Literal["auto", "off"] = Field("auto", validation_alias=_env("SAMOVAR_ENVIRONMENTS"))
    """``auto``: a trusted version whose libraries are not this host's is built, and if need be run, in an environment of its own.
    ``off``: all run with this host's libraries."""
    environment_cache: Path | None = Field(None, validation_alias=_env("SAMOVAR_ENVIRONMENT_CACHE"))
    """Folder of those environments. None: ``home/cache/environments``. Safe to delete while nothing runs in one."""
    environments_mb: float = Field(10_000.0, ge=0, validation_alias=_env("SAMOVAR_ENVIRONMENTS_MB"))
    """Megabytes that they may take; the least recently used make room, never one in use. Default: some twenty of scikit-learn's
    size (most of it shared with uv's own cache), or two of torch's."""
    environment_seconds: float = Field(900.0, gt=0, validation_alias=_env("SAMOVAR_ENVIRONMENT_SECONDS"))
    """Longest time of an installation: gigabytes on a slow line."""
    memory_mb: float | None = Field(None, ge=64, validation_alias=_env("SAMOVAR_MEMORY_MB"))
    """Megabytes that one worker may take for itself before it is ended; a model's tag ``samovar.memory_mb`` goes before it.
    None: what ``memory_share`` says."""
    memory_share: float = Field(0.5, ge=0, le=1, validation_alias=_env("SAMOVAR_MEMORY_SHARE"))
    """Share of the host's memory that one worker or builder may take of which nobody said anything; 0 is no limit. Half: whoever
    allocates without end is ended while its neighbours still have what they need."""
    build_memory_mb: float | None = Field(None, ge=256, validation_alias=_env("SAMOVAR_BUILD_MEMORY_MB"))
    """Megabytes that a builder may take, for the libraries and the model. None: what ``memory_share`` says."""
    cpus: float | None = Field(None, gt=0, validation_alias=_env("SAMOVAR_CPUS"))
    """Cores that an endpoint's workers may use together, rounded up to whole ones; a model's tag ``samovar.cpus`` goes before it.
    None: all of them."""
    builder_idle_seconds: float = Field(20.0, gt=0, validation_alias=_env("SAMOVAR_BUILDER_IDLE_SECONDS"))
    """How long the models' own libraries stay in memory (170 MB) after the last build. A build later than that takes 2 s longer."""

    # --- where endpoints run ------------------------------------------------------------------------------------------------
    runtime: Literal["process", "docker", "kubernetes"] = Field("process", validation_alias=_env("SAMOVAR_RUNTIME"))
    """What runs endpoints: processes of this host, containers of a Docker Engine, or Deployments of a Kubernetes cluster."""
    instance: str = Field("samovar", min_length=1, max_length=63, validation_alias=_env("SAMOVAR_INSTANCE"))
    """Whose containers or objects are ours; two Samovars on one engine or namespace need different ones."""
    endpoint_image: str = Field("samovar-endpoint", min_length=1, validation_alias=_env("SAMOVAR_ENDPOINT_IMAGE"))
    """Image of the endpoints' containers, as `make image` names it; with the engine ``mlflow`` any image that has MLflow."""
    endpoint_mlflow_uri: str | None = Field(None, validation_alias=_env("SAMOVAR_ENDPOINT_MLFLOW_URI"))
    """Address of MLflow as containers reach it. None: ``MLFLOW_TRACKING_URI``, unless that is this host's loopback."""
    docker_host: str = Field("unix:///var/run/docker.sock", validation_alias=_env("DOCKER_HOST"))
    """The Docker Engine's socket, or the ``tcp://`` address of a restricted proxy before it."""
    docker_network: str = Field("samovar", min_length=1, validation_alias=_env("SAMOVAR_DOCKER_NETWORK"))
    """Network of the endpoints; made when there is none. Compose's own is ``mlops_default``."""
    docker_engine: Literal["samovar", "mlflow"] = Field("samovar", validation_alias=_env("SAMOVAR_DOCKER_ENGINE"))
    """Who serves in a container: ours, or the stock ``mlflow models serve``: compatible, slow to start, lossy, without keys."""
    docker_linger_seconds: float = Field(5.0, ge=0, le=3600, validation_alias=_env("SAMOVAR_DOCKER_LINGER_SECONDS"))
    """How long a replaced container goes on accepting: longer than a poll, so that the gateway has heard of the new one."""
    kubeconfig: str = Field("", validation_alias=_env("SAMOVAR_KUBECONFIG"))
    """File of the cluster's configuration. Empty: this pod's service account, then ``KUBECONFIG``, then the user's own file."""
    kubernetes_namespace: str = Field("default", min_length=1, validation_alias=_env("SAMOVAR_KUBERNETES_NAMESPACE"))
    """Namespace of the endpoints."""
    kubernetes_secret: str = Field("", validation_alias=_env("SAMOVAR_KUBERNETES_SECRET"))
    """Secret whose keys become the pods' environment: MLflow's credentials, ``SAMOVAR_API_KEY_HASHES``. Empty: none."""
    kubernetes_max_replicas: int = Field(0, ge=0, le=1000, validation_alias=_env("SAMOVAR_KUBERNETES_MAX_REPLICAS"))
    """Pods that an endpoint may grow to under load. Default: it does not grow; more than ``workers`` makes an autoscaler."""
    kubernetes_gateway: str = Field("", validation_alias=_env("SAMOVAR_KUBERNETES_GATEWAY"))
    """``namespace/name`` of the Gateway whose routes lead to endpoints. Empty: no routes are made."""

    # --- prediction log ----------------------------------------------------------------------------------------------------
    spool: Path | None = Field(None, validation_alias=_env("SAMOVAR_SPOOL"))
    """Folder of what endpoints answered and the database has not got yet. None: ``home/spool``; best on the fastest local disk."""
    prediction_log: bool = Field(True, validation_alias=_env("SAMOVAR_PREDICTION_LOG"))
    """Whether endpoints log what they answer. Without it there is no drift of live traffic and no performance by labels."""
    spool_segment_mb: float = Field(4.0, gt=0, le=1024, validation_alias=_env("SAMOVAR_SPOOL_SEGMENT_MB"))
    """Megabytes after which a file is closed and shipped: some 30,000 rows, which the database takes in well under a second."""
    spool_seal_seconds: float = Field(5.0, gt=0, validation_alias=_env("SAMOVAR_SPOOL_SEAL_SECONDS"))
    """Age at which a file is closed although it is small: half of how long an answer takes to the database."""
    spool_fsync_seconds: float = Field(1.0, ge=0, validation_alias=_env("SAMOVAR_SPOOL_FSYNC_SECONDS"))
    """Answers of so many seconds may be missing after the host (not the process) crashed. 0 leaves it to the kernel: about 30 s."""
    spool_limit_mb: float = Field(1024.0, gt=0, validation_alias=_env("SAMOVAR_SPOOL_LIMIT_MB"))
    """Megabytes that may wait for the database, for each endpoint: some eight million rows."""
    spool_limit_days: float = Field(7.0, gt=0, validation_alias=_env("SAMOVAR_SPOOL_LIMIT_DAYS"))
    """Days after which a file that nobody shipped is deleted, because it holds people's data; its rows are counted as lost."""
    spool_on_full: Literal["answer", "refuse"] = Field("answer", validation_alias=_env("SAMOVAR_SPOOL_ON_FULL"))
    """What an endpoint does that can log no more: ``answer`` and count what was lost, or ``refuse`` with 503."""
    ship_seconds: float = Field(5.0, gt=0, validation_alias=_env("SAMOVAR_SHIP_SECONDS"))
    """Seconds between two looks for closed files that can go to the database."""
    prediction_log_days: float = Field(30.0, gt=0, validation_alias=_env("SAMOVAR_PREDICTION_LOG_DAYS"))
    """Days that logged predictions stay in the database. Default: a month of labels that come late."""

    # --- training ----------------------------------------------------------------------------------------------------------
    train_jobs: int = Field(2, ge=1, validation_alias=_env("SAMOVAR_TRAIN_JOBS"))
    """Candidates trained at once, each in its own process. Default: the cores of a small laptop."""
    feature_cache: Path | None = Field(None, validation_alias=_env("SAMOVAR_FEATURE_CACHE"))
    """Folder of rows that were prepared before. None: ``home/cache/features``. Safe to delete at any time."""
    feature_cache_mb: float = Field(2048.0, ge=0, validation_alias=_env("SAMOVAR_FEATURE_CACHE_MB"))
    """Megabytes that they may take; the least recently used make room. 0 keeps none. Default: ten data sets of 25,000 texts."""
    optuna_storage: str | None = Field(None, validation_alias=_env("OPTUNA_STORAGE"))
    """Optuna storage URL. None: in memory, because the default search is seconds long."""
    selected_model_kinds: str = Field("", validation_alias=_env("SELECTED_MODEL_KINDS"))
    """Comma-separated kinds to train out of a project's candidates. Empty: all of them."""
    seed: int = Field(20_181, validation_alias=_env("SAMOVAR_SEED"))
    """Seed of splits, searches and bootstraps, so that a step run again does the same."""

    # --- the scheduler of `samovar up` -------------------------------------------------------------------------------------
    monitor_seconds: float = Field(300.0, gt=0, validation_alias=_env("SAMOVAR_MONITOR_SECONDS"))
    """Seconds between two scheduled monitor runs of a project that has a champion."""
    retrain_poll_seconds: float = Field(2.0, gt=0, validation_alias=_env("SAMOVAR_RETRAIN_POLL_SECONDS"))
    """Seconds between two looks for open retrain requests."""
    orchestrator: Literal["internal", "airflow"] = Field("internal", validation_alias=_env("SAMOVAR_ORCHESTRATOR"))
    """Who claims retrain requests."""

    # --- logs --------------------------------------------------------------------------------------------------------------
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", validation_alias=_env("LOG_LEVEL"))
    """Least level that is written."""
    log_format: Literal["text", "json"] = Field("text", validation_alias=_env("LOG_FORMAT"))
    """``json`` is one object a line, for Loki."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - replaced by *_FILE
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: explicit values, environment, ``*_FILE``, ``.env``."""
        return init_settings, env_settings, _SecretFiles(settings_cls), dotenv_settings

    @property
    def state(self) -> Path:
        """The absolute state folder."""
        return self.home.expanduser().absolute()

    @property
    def run_dir(self) -> Path:
        """Sockets, pid files and the addresses of what runs."""
        return self.state / "run"

    @property
    def keys_file(self) -> Path:
        """The absolute path of the file of API keys."""
        return self.api_keys_file.expanduser().absolute() if self.api_keys_file is not None else self.state / "api-keys.json"

    @property
    def gateway_folder(self) -> Path:
        """The gateway's configuration; it outlives the stack, so that a gateway of its own may read it."""
        return self.state / "gateway"

    @property
    def plan_folder(self) -> Path:
        """The absolute folder of plans built before."""
        return self.plan_cache.expanduser().absolute() if self.plan_cache is not None else self.state / "cache" / "plans"

    @property
    def feature_folder(self) -> Path:
        """The absolute folder of rows that were prepared before."""
        return self.feature_cache.expanduser().absolute() if self.feature_cache is not None else self.state / "cache" / "features"

    @property
    def environment_folder(self) -> Path:
        """The absolute folder of environments of versions' own."""
        folder = self.environment_cache
        return folder.expanduser().absolute() if folder is not None else self.state / "cache" / "environments"

    @property
    def spool_folder(self) -> Path:
        """The absolute folder of the endpoints' prediction logs."""
        return self.spool.expanduser().absolute() if self.spool is not None else self.state / "spool"

    @property
    def kinds(self) -> tuple[str, ...]:
        """Selected model kinds; empty selects all."""
        return tuple(kind.strip() for kind in self.selected_model_kinds.split(",") if kind.strip())


def load(**overrides: Any) -> Settings:
    """Read the settings now.

    Args:
        overrides: values by field name; they win over the environment.

    Raises:
        SettingsError: a value is wrong; the message names the variable and what was expected, never the value.
    """
    try:
        return Settings(**{variable(name): value for name, value in overrides.items()})
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "settings"
        raise SettingsError(f"{where}: {first['msg']}.", remedy="Correct the environment variable or the line in .env.") from None


def variable(name: str) -> str:
    """Return the environment variable that a field is read from; other names (``_env_file``) stay as they are."""
    field = Settings.model_fields.get(name)
    alias = field.validation_alias if field is not None else None
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else name


@functools.cache
def get() -> Settings:
    """Return the settings of this process, read once."""
    return load()
