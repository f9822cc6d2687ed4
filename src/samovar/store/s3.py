"""A lake in an S3 bucket, with the usual variables: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL."""

from __future__ import annotations

import os

from pyarrow import fs

from samovar.errors import SettingsError

_CONNECT_SECONDS = 5.0
_REQUEST_SECONDS = 30.0
_ATTEMPTS = 3


class Bucket:
    """A bucket, or a prefix in one."""

    def __init__(self, url: str) -> None:
        self.root = url
        self._prefix = url.removeprefix("s3:").lstrip("/")
        if not self._prefix:
            raise SettingsError("SAMOVAR_LAKE_URL names no bucket.", remedy="Use s3://bucket/prefix.")
        self._client: fs.S3FileSystem | None = None

    @property
    def _s3(self) -> fs.S3FileSystem:
        # Not before the first use: without credentials in the environment the client looks for them on the network.
        if self._client is None:
            self._client = _connect()
        return self._client

    def exists(self, name: str) -> bool:
        """Return whether there is a complete object."""
        return bool(self._s3.get_file_info(f"{self._prefix}/{name}").is_file)

    def write(self, name: str, data: bytes) -> None:
        """Store an object: S3 shows it when it is complete, and not before."""
        with self._s3.open_output_stream(f"{self._prefix}/{name}") as stream:
            stream.write(data)

    def read(self, name: str) -> bytes:
        """Return an object's content; raises FileNotFoundError."""
        with self._s3.open_input_stream(f"{self._prefix}/{name}") as stream:
            return bytes(stream.readall())


def _connect() -> fs.S3FileSystem:
    return fs.S3FileSystem(
        endpoint_override=os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None,
        region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
        connect_timeout=_CONNECT_SECONDS,
        request_timeout=_REQUEST_SECONDS,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
    )
