"""Plans on disk: found again, never for another question, and never trusted more than they are asked to be."""

from __future__ import annotations

import os
import stat

import msgspec
import pytest

from samovar.autoserve.runtimes.process import plancache
from samovar.autoserve.runtimes.process.plancache import PlanCache
from samovar.scoring import maker
from samovar.scoring.plan import encode
from samovar.scoring.request import BuildRequest

REQUEST = BuildRequest(model="m", version=1, run_id="r", label="v1", files={"MLmodel": b"a", "model.skops": b"b"})


@pytest.fixture
def plan(fake_plan):
    return encode(made(fake_plan()))


@pytest.fixture
def cache(tmp_path):
    return PlanCache(tmp_path / "cache" / "plans", 2**20)


def made(plan, **fields):
    return msgspec.structs.replace(plan, maker=maker.name(), **fields)


def change(**fields):
    return msgspec.structs.replace(REQUEST, **fields)


def files(cache):
    return sorted(cache._folder.iterdir(), key=lambda path: path.name)


def test_a_plan_is_found_again_after_a_restart(cache, plan):
    """Another object, the same folder: what a controller finds that starts anew."""
    cache.put(REQUEST, plan)
    assert PlanCache(cache._folder, 2**20).get(REQUEST) == plan


@pytest.mark.parametrize(
    "other",
    [
        {"version": 2},
        {"model": "n"},
        {"label": "v1.0.0"},
        {"run_id": "s"},
        {"trusted": True},
        {"files": {"MLmodel": b"a", "model.skops": b"c"}},
        {"files": {"MLmodel": b"b", "model.skops": b"a"}},
        {"files": {"MLmodel": b"a"}},
    ],
    ids=str,
)
def test_another_question_has_another_answer(cache, plan, other):
    """Trust belongs to the question: a plan built with it is not given to a version that nobody trusts any more."""
    cache.put(REQUEST, plan)
    assert cache.get(change(**other)) is None


def test_a_plan_that_was_trusted_is_not_taken_for_one_that_was_not(cache, fake_plan):
    """Not even when the file lies under the untrusted question's name."""
    trusted = encode(made(fake_plan(), trusted=True))
    cache.put(change(trusted=True), trusted)
    (path,) = files(cache)
    path.rename(path.with_name(f"{plancache.key(REQUEST)}.plan"))
    assert cache.get(REQUEST) is None
    assert cache.get(change(trusted=True)) is None


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:40] + b"x" + data[41:], lambda _: b""])
def test_a_damaged_plan_is_as_good_as_none_and_makes_room(cache, plan, damage):
    cache.put(REQUEST, plan)
    (path,) = files(cache)
    path.write_bytes(damage(path.read_bytes()))
    assert cache.get(REQUEST) is None
    assert files(cache) == []


def test_another_samovar_finds_nothing(cache, plan, monkeypatch):
    """Its code may build another plan of the same files."""
    cache.put(REQUEST, plan)
    monkeypatch.setattr(maker, "name", lambda _: "newer")
    assert cache.get(REQUEST) is None


def test_what_a_builder_of_older_code_made_is_not_kept(cache, plan, fake_plan, monkeypatch):
    """A builder is forked from a process that may have been there before an upgrade."""
    monkeypatch.setattr(maker, "name", lambda _: "newer")
    cache.put(REQUEST, plan)
    assert not cache._folder.exists()
    cache.put(REQUEST, encode(msgspec.structs.replace(fake_plan(), maker="newer")))
    assert cache.get(REQUEST) is not None


def test_the_least_recently_used_plans_make_room(tmp_path, plan):
    """Also what a killed write left behind goes; what is not ours stays."""
    cache = PlanCache(tmp_path, 3 * (len(plan) + 40))
    (tmp_path / f".{'0' * 64}.plan.123").touch()
    (tmp_path / "thesis.txt").touch()
    for number in range(3):
        cache.put(change(version=number), plan)
        os.utime(cache._path(change(version=number)), (number, number))
    assert cache.get(change(version=0)) == plan
    cache.put(change(version=3), plan)
    assert [cache.get(change(version=number)) is not None for number in range(4)] == [True, False, True, True]
    assert len([path for path in files(cache) if path.suffix == ".plan"]) == 3
    assert [path.name for path in files(cache) if path.suffix != ".plan"] == ["thesis.txt"]


def test_plans_are_for_this_user_alone(cache, plan):
    """A model may be a secret."""
    cache.put(REQUEST, plan)
    (path,) = files(cache)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(cache._folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("plant", [lambda path: path.chmod(0o666), lambda path: path.rename(path.with_name("x")).parent])
def test_a_plan_that_others_could_have_written_is_not_taken(cache, plan, plant):
    """Neither a file that they may write nor a link to one: a trusted plan may hold a pickle."""
    cache.put(REQUEST, plan)
    (path,) = files(cache)
    plant(path)
    if not path.exists():
        path.symlink_to(path.with_name("x"))
    assert cache.get(REQUEST) is None


def test_a_limit_of_nothing_keeps_nothing(tmp_path, plan):
    cache = PlanCache(tmp_path / "plans", 0)
    cache.put(REQUEST, plan)
    assert cache.get(REQUEST) is None
    assert not (tmp_path / "plans").exists()


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path, plan):
    """The version is served all the same."""
    (tmp_path / "plans").touch()
    cache = PlanCache(tmp_path / "plans", 2**20)
    cache.put(REQUEST, plan)
    assert cache.get(REQUEST) is None
