"""The Kubernetes runtime against the API's schema and semantics."""

from __future__ import annotations

import dataclasses
import json

import kubernetes_validate
import pytest

from samovar.autoserve.naming import endpoint_name
from samovar.autoserve.plan import Key
from samovar.autoserve.runtimes.kubernetes import manifests
from samovar.autoserve.runtimes.kubernetes.cluster import connect
from samovar.autoserve.runtimes.kubernetes.manifests import Offer
from samovar.autoserve.runtimes.kubernetes.watch import Watch
from samovar.autoserve.tuning import Tuning
from samovar.errors import Conflict, GiveUp, StackUnavailable

KEY = Key("iris", "Production")
NAME = endpoint_name(*KEY)


def always():
    return True


def bring(runtime, version, key=KEY, **options):
    runtime.bring(key, version, wished=always, **options)


def state(runtime, key=KEY):
    return runtime.endpoints().get(key)


@pytest.mark.parametrize("model", ["iris", "a b", "Модель", "x" * 200])
@pytest.mark.parametrize("tuning", [Tuning(), Tuning(workers=3, memory_mb=300, cpus=0.5)])
def test_every_object_is_one_that_kubernetes_knows(placement, model, tuning):
    """Whatever the model is called: strictly by the schema, so that a misspelt field is no silent nothing."""
    placement = dataclasses.replace(placement, secret="mlflow", max_replicas=5)
    made = manifests.objects(Offer(Key(model, "Production"), 1, "v1", "o", tuning), placement, epoch=1, routes=True)
    assert len({one["metadata"]["name"] for one in made}) == 1
    for one in made:
        if one["kind"] != "HTTPRoute":
            kubernetes_validate.validate(one, "1.34", strict=True)


def test_a_misspelt_field_would_be_found(placement):
    made = manifests.deployment(Offer(KEY, 1, "v1", "o"), placement, epoch=1)
    made["spec"]["template"]["spec"]["terminationGracePeriod"] = 5
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(made, "1.34", strict=True)


def test_pods_run_with_no_rights_and_find_no_token(placement):
    pod = manifests.deployment(Offer(KEY, 1, "v1", "o"), placement, epoch=1)["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"]
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_old_version_answers_until_the_new_one_does(runtime, fake):
    bring(runtime, 1)
    assert (state(runtime).serving, state(runtime).loading, state(runtime).up) == (1, None, True)
    fake.frozen.add(2)
    bring(runtime, 2)
    assert (state(runtime).serving, state(runtime).loading, state(runtime).label) == (1, 2, "v1")
    fake.settle(2)
    assert (state(runtime).serving, state(runtime).loading, state(runtime).label) == (2, None, "v2")


def test_a_version_that_never_gets_ready_is_taken_back_and_its_last_words_are_kept(runtime, fake):
    bring(runtime, 1)
    fake.broken[2] = "error: The model fails to load."
    bring(runtime, 2)
    for _ in range(2):
        now = state(runtime)
        assert (now.serving, now.loading, now.failed, now.up) == (1, None, 2, True)
        assert (now.reason, now.failures) == ("error: The model fails to load.", 1)
    assert fake.get("Deployment", NAME)["spec"]["template"]["metadata"]["labels"]["version"] == "1"


def test_a_first_version_that_fails_leaves_no_object_behind(runtime, fake):
    fake.broken[1] = "no"
    bring(runtime, 1)
    assert (state(runtime).serving, state(runtime).failed, state(runtime).up) == (None, 1, False)
    assert fake.objects == {}
    del fake.broken[1]
    bring(runtime, 1)
    assert (state(runtime).serving, state(runtime).failed) == (1, None)


def test_a_pod_that_says_it_never_will_be_ready_is_believed_at_once(runtime, fake):
    bring(runtime, 1)
    fake.broken[2], fake.restarts, fake.exit_code = "error: untrusted", 1, 77
    bring(runtime, 2)
    assert state(runtime).failed == 2


def test_a_pod_that_cannot_reach_mlflow_is_given_time(runtime, fake):
    bring(runtime, 1)
    fake.broken[2], fake.restarts, fake.exit_code = "error: MLflow cannot be reached", 1, 69
    bring(runtime, 2)
    assert (state(runtime).failed, state(runtime).loading) == (None, 2)


def test_a_version_on_its_way_is_taken_back(runtime, fake):
    bring(runtime, 1)
    fake.frozen.add(2)
    bring(runtime, 2)
    runtime.cancel(KEY)
    assert (state(runtime).serving, state(runtime).loading, state(runtime).failed) == (1, None, None)


def test_the_same_order_twice_changes_nothing(runtime, fake):
    bring(runtime, 1)
    before = fake.get("Deployment", NAME)["metadata"]["resourceVersion"]
    bring(runtime, 1)
    runtime.tune(KEY, Tuning())
    runtime.cancel(KEY)
    assert fake.get("Deployment", NAME)["metadata"]["resourceVersion"] == before


def test_a_version_that_is_no_longer_wished_for_is_dropped(runtime, fake):
    runtime.bring(KEY, 1, wished=lambda: False)
    assert fake.objects == {}


def test_a_new_controller_reads_everything_from_the_objects(runtime, make_runtime):
    bring(runtime, 1)
    runtime.tune(KEY, Tuning(workers=2))
    assert make_runtime(epoch=2).endpoints() == runtime.endpoints()


def test_an_older_lease_is_refused(runtime, make_runtime, fake):
    bring(make_runtime(epoch=5), 1)
    for order in (lambda: bring(runtime, 2), lambda: runtime.tune(KEY, Tuning(workers=2)), lambda: runtime.stop(KEY)):
        with pytest.raises(Conflict, match="younger lease"):
            order()
    assert fake.get("Deployment", NAME) is not None


def test_a_change_between_look_and_order_is_a_conflict(runtime, fake):
    bring(runtime, 1)
    seen = runtime._deployment(KEY)
    fake.put({"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": NAME, "annotations": {"who": "someone"}}})
    with pytest.raises(Conflict):
        runtime._apply(Offer(KEY, 2, "v2", "o"), seen)
    bring(runtime, 2)  # a fresh look goes through
    assert state(runtime).serving == 2


def test_what_others_write_on_our_objects_stays(runtime, fake):
    bring(runtime, 1)
    fake.put({"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": NAME, "annotations": {"who": "someone"}}})
    bring(runtime, 2)
    assert fake.get("Deployment", NAME)["metadata"]["annotations"]["who"] == "someone"


def test_the_replicas_are_the_autoscalers_where_there_is_one(make_runtime, placement, fake):
    runtime = make_runtime(dataclasses.replace(placement, max_replicas=5))
    bring(runtime, 1)
    assert "replicas" not in fake.get("Deployment", NAME)["spec"]
    assert fake.get("HorizontalPodAutoscaler", NAME)["spec"]["maxReplicas"] == 5


def test_tuning_changes_the_objects_and_takes_away_what_it_no_longer_needs(runtime, fake):
    bring(runtime, 1)
    runtime.tune(KEY, Tuning(workers=3, memory_mb=300.0))
    assert fake.get("Deployment", NAME)["spec"]["replicas"] == 3
    assert fake.get("PodDisruptionBudget", NAME)["spec"] == {
        "maxUnavailable": 1,
        "selector": fake.get("Deployment", NAME)["spec"]["selector"],
    }
    assert state(runtime).tuning == Tuning(workers=3, memory_mb=300.0)
    bring(runtime, 2)
    assert state(runtime).tuning.workers == 3
    runtime.tune(KEY, Tuning())
    assert fake.get("PodDisruptionBudget", NAME) is None


def test_a_split_that_pods_cannot_share_is_warned_of(runtime):
    bring(runtime, 1)
    assert state(runtime).warnings == ()
    runtime.tune(KEY, Tuning(split=(("Challenger", 10),)))
    assert "not applied" in state(runtime).warnings[0]


def test_stopping_takes_all_of_it_and_nothing_else(runtime, fake):
    bring(runtime, 1)
    bring(runtime, 1, Key("iris", "Candidate"))
    runtime.stop(KEY)
    runtime.stop(KEY)
    assert {key.alias for key in runtime.endpoints()} == {"Candidate"}
    assert NAME not in {name for _, name in fake.objects}


def test_a_stranger_of_the_same_name_is_never_touched(runtime, fake, placement):
    theirs = manifests.deployment(Offer(KEY, 9, "v9", "o"), dataclasses.replace(placement, instance="another"), epoch=1)
    fake.put(json.loads(json.dumps(theirs)))
    assert runtime.endpoints() == {}
    with pytest.raises(Conflict, match="does not own"):
        bring(runtime, 1)
    before = fake.get("Deployment", NAME)
    runtime.tune(KEY, Tuning(workers=2))
    runtime.stop(KEY)
    assert fake.get("Deployment", NAME) == before


def test_a_cluster_without_the_gateway_api_gets_no_routes(make_runtime, fake):
    fake.gateway = False
    bring(make_runtime(), 1)
    assert fake.names("HTTPRoute") == set()


def test_routes_lead_by_quoted_names(runtime, fake):
    bring(runtime, 1, Key("a b/c", "Production"))
    (route,) = fake.names("HTTPRoute")
    paths = [rule["matches"][0]["path"]["value"] for rule in fake.get("HTTPRoute", route)["spec"]["rules"]]
    assert paths == ["/models/a%20b%2Fc/Production", "/models/a%20b%2Fc"]


def test_only_trusted_versions_are_told_so(make_runtime, fake):
    runtime = make_runtime(trusted={("iris", 2)})
    for version, told in ((1, "0"), (2, "1")):
        bring(runtime, version)
        (container,) = fake.get("Deployment", NAME)["spec"]["template"]["spec"]["containers"]
        assert {"name": "SAMOVAR_TRUSTED", "value": told} in container["env"]


def test_more_endpoints_than_a_page_are_all_seen(runtime, monkeypatch):
    monkeypatch.setattr("samovar.autoserve.runtimes.kubernetes.cluster._PAGE", 2)
    for number in range(5):
        bring(runtime, 1, Key(f"m{number}", "Production"))
    assert len(runtime.endpoints()) == 5


@pytest.mark.parametrize(("code", "expected"), [(503, StackUnavailable), (410, StackUnavailable), (403, GiveUp), (409, Conflict)])
def test_what_the_api_answers_says_what_to_do(runtime, fake, code, expected):
    fake.failing.append(code)
    with pytest.raises(expected):
        runtime.endpoints()


def test_a_cluster_that_is_away_is_named_so(placement):
    cluster = connect("http://127.0.0.1:9", placement.namespace)
    with pytest.raises(StackUnavailable, match="cannot be reached"):
        cluster.list("Deployment", {})


def test_the_watch_rings_for_changes_and_begins_again_after_its_end_and_after_410(runtime, fake, placement, eventually):
    rings = []
    cluster = connect(fake.url, placement.namespace)
    watch = Watch(cluster, placement, lambda: rings.append(1))
    watch.start()
    try:
        for version in (1, 2, 3):
            eventually(lambda: fake._watchers, 10, "a watch")
            rings.clear()
            bring(runtime, version)
            eventually(lambda: rings, 10, "a ring")
            fake.end_watches(forget=version == 2)
    finally:
        watch.stop()
        fake.end_watches()
        cluster.close()
