"""Artifact files: read into memory without touching the disk, bounded, and equal through every kind of store."""

from __future__ import annotations

import sys
import uuid

import pytest

from samovar.errors import ModelError, NotFound, RegistryUnavailable, UsageError
from samovar.registry import files, runs
from samovar.registry.client import Registry, Version
from samovar.registry.toolkit import download, list_artifacts, upload

CONTENT = {
    "model/MLmodel": b"flavors: {}",
    "model/data/a file with spaces & signs +.bin": bytes(range(256)) * 100,
    "model/deep/er/still/empty.txt": b"",
    "notes.md": "größer".encode(),
}


@pytest.fixture
def registry(mlflow_server):
    registry = Registry(mlflow_server, timeout=10)
    yield registry
    registry.close()


@pytest.fixture
def version(registry):
    """A version whose run holds ``CONTENT``, and whose model folder is ``model``."""
    name = f"files {uuid.uuid4().hex}"
    run = runs.begin(registry, runs.experiment(registry, name), "one", {})
    runs.log_files(registry, run, CONTENT)
    registry.ensure_model(name)
    return registry.create_version(name, source=f"{run.artifact_uri}/model", run_id=run.run_id, tags={})


def expected():
    return {path.removeprefix("model/"): content for path, content in CONTENT.items() if path.startswith("model/")}


class TestFetch:
    def test_the_model_folder_comes_whole_and_nothing_beside_it(self, registry, version):
        assert files.fetch_files(registry, version) == expected()

    def test_fetching_writes_nothing_to_disk(self, registry, version):
        """An audit hook sees every file that Python opens for writing."""
        written = []
        watching = True

        def watch(event, arguments):
            if watching and event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
                written.append(arguments[0])

        sys.addaudithook(watch)
        try:
            files.fetch_files(registry, version)
        finally:
            watching = False
        assert written == []

    def test_a_folder_over_the_limit_is_refused_before_it_fills_the_memory(self, registry, version):
        with pytest.raises(ModelError, match="larger"):
            files.fetch_files(registry, version, limit=1000)

    def test_a_version_without_files_is_not_found(self, registry, version):
        empty = registry.create_version(version.model, source=f"{_root(registry, version)}/nowhere", run_id=version.run_id, tags={})
        with pytest.raises(NotFound, match="no files"):
            files.fetch_files(registry, empty)

    def test_a_store_that_the_server_does_not_proxy_gives_the_same(self, registry, version, tmp_path):
        for path, content in expected().items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(content)
        assert files.read_folder(registry, tmp_path.as_uri()) == expected()
        assert files.read_one(registry, tmp_path.as_uri(), "MLmodel") == expected()["MLmodel"]
        assert files.list_files(registry, tmp_path.as_uri()) == sorted(expected())
        files.write(registry, tmp_path.as_uri(), "new/one.txt", b"1")
        assert (tmp_path / "new/one.txt").read_bytes() == b"1"

    def test_a_store_that_cannot_be_reached_is_one_clear_line(self, registry, tmp_path):
        with pytest.raises(RegistryUnavailable, match="artifact store"):
            files.read_folder(registry, "magic://bucket/model")


class TestToolkit:
    def test_what_was_uploaded_comes_back(self, registry, version, tmp_path):
        source = tmp_path / "plots"
        (source / "sub").mkdir(parents=True)
        (source / "a.png").write_bytes(b"a")
        (source / "sub/b.png").write_bytes(b"b")
        assert upload(registry, version, source, "extra") == ["extra/plots/a.png", "extra/plots/sub/b.png"]
        assert {"extra/plots/a.png", "notes.md"} <= set(list_artifacts(registry, version))
        assert download(registry, version, "extra/plots", tmp_path / "back") == [
            tmp_path / "back/extra/plots/a.png",
            tmp_path / "back/extra/plots/sub/b.png",
        ]
        assert (tmp_path / "back/extra/plots/sub/b.png").read_bytes() == b"b"

    def test_a_download_never_replaces_a_file_and_leaves_nothing_half_written(self, registry, version, tmp_path):
        (tmp_path / "notes.md").write_text("mine")
        with pytest.raises(Exception, match="exists already"):
            download(registry, version, "notes.md", tmp_path)
        assert (tmp_path / "notes.md").read_text() == "mine"
        assert [path.name for path in tmp_path.iterdir()] == ["notes.md"]

    def test_an_unknown_artifact_is_not_found(self, registry, version, tmp_path):
        with pytest.raises(NotFound, match="no such artifact"):
            download(registry, version, "nothing", tmp_path)
        with pytest.raises(NotFound):
            files.read_one(registry, _root(registry, version), "nothing")

    @pytest.mark.parametrize("path", ["/etc/passwd", "../other", "a/../../b"])
    def test_a_path_that_leads_outside_is_refused(self, registry, version, tmp_path, path):
        with pytest.raises(UsageError):
            download(registry, version, path, tmp_path)
        (tmp_path / "file").touch()
        with pytest.raises(UsageError):
            upload(registry, version, tmp_path / "file", path)

    def test_a_source_that_does_not_exist_is_a_usage_error(self, registry, version, tmp_path):
        with pytest.raises(UsageError, match="does not exist"):
            upload(registry, version, tmp_path / "nothing")


def test_another_servers_artifacts_are_not_asked_of_this_one(registry):
    """Credentials of the tracking server go to no other host that a version's source may name."""
    assert files.proxied(registry, "mlflow-artifacts://elsewhere:5000/1/model") is None
    assert files.proxied(registry, "mlflow-artifacts:/1/model") == "1/model"


def _root(registry, version: Version):
    return runs.get(registry, version.run_id).artifact_uri
