"""The Kubernetes API as this runtime uses it: apply, read, delete, watch. The one module that knows the client."""

from __future__ import annotations

import contextlib
import importlib
from typing import TYPE_CHECKING, Any

import httpx2
import msgspec
from lightkube import ApiError, Client, KubeConfig
from lightkube.config.models import Cluster as KubeCluster
from lightkube.config.models import User
from lightkube.core.exceptions import ConfigError
from lightkube.generic_resource import create_namespaced_resource
from lightkube.types import CascadeType, PatchType

from samovar.autoserve.runtimes.kubernetes.manifests import MANAGER
from samovar.errors import Conflict, GiveUp, SettingsError, StackUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

_TIMEOUT = 10.0
_PAGE = 500

_WHERE = {
    "Deployment": "lightkube.resources.apps_v1",
    "ReplicaSet": "lightkube.resources.apps_v1",
    "Pod": "lightkube.resources.core_v1",
    "Service": "lightkube.resources.core_v1",
    "Lease": "lightkube.resources.coordination_v1",
    "PodDisruptionBudget": "lightkube.resources.policy_v1",
    "HorizontalPodAutoscaler": "lightkube.resources.autoscaling_v2",
}
_GATEWAY_API = "gateway.networking.k8s.io"

KINDS = ("HTTPRoute", "HorizontalPodAutoscaler", "PodDisruptionBudget", "Deployment", "Service")
"""Everything that an endpoint may consist of, in the order in which it is taken away: first nothing is led to it."""


class Cluster:
    """One namespace of a cluster.

    Args:
        client: a client; see ``connect``.
        namespace: where everything happens.
    """

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._gateway: bool | None = None

    def apply(self, manifest: dict[str, Any], *, seen: str = "") -> None:
        """Declare an object.

        Args:
            manifest: the object.
            seen: its ``resourceVersion`` as it was read: somebody else's change since then is a conflict; empty minds none.

        Raises:
            Conflict: it changed meanwhile.
            GiveUp: the cluster refuses it; the message says why.
            StackUnavailable: the cluster cannot be reached.
        """
        body = manifest if not seen else manifest | {"metadata": manifest["metadata"] | {"resourceVersion": seen}}
        resource, name = _resource(manifest["kind"]), manifest["metadata"]["name"]
        with _translated():
            self._client.patch(
                resource, name, body, namespace=self._namespace, patch_type=PatchType.APPLY, field_manager=MANAGER, force=True
            )

    def create(self, manifest: dict[str, Any]) -> None:
        """Make an object; raises ``Conflict`` when there is one of its name."""
        with _translated():
            self._client.create(_resource(manifest["kind"]).from_dict(manifest), namespace=self._namespace)

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return one object, None when there is none."""
        with _translated():
            try:
                found = self._client.get(_resource(kind), name, namespace=self._namespace)
            except ApiError as error:
                if error.status.code == 404:
                    return None
                raise
        return dict(found.to_dict())

    def list(self, kind: str, labels: dict[str, str]) -> list[dict[str, Any]]:
        """Return all objects that carry the labels, page by page. A list cut short (410) is begun anew by the next round."""
        with _translated():
            found = self._client.list(_resource(kind), namespace=self._namespace, labels=dict(labels), chunk_size=_PAGE)
            return [dict(one.to_dict()) for one in found]

    def delete(self, kind: str, name: str) -> None:
        """Delete an object with what hangs on it; one that is gone is as deleted."""
        with _translated():
            try:
                self._client.delete(_resource(kind), name, namespace=self._namespace, cascade=CascadeType.BACKGROUND)
            except ApiError as error:
                if error.status.code != 404:
                    raise

    def has_gateway_api(self) -> bool:
        """Whether the cluster knows HTTPRoutes; asked once."""
        if self._gateway is None:
            with _translated():
                try:
                    next(iter(self._client.list(_resource("HTTPRoute"), namespace=self._namespace, chunk_size=1)), None)
                    self._gateway = True
                except ApiError as error:
                    if error.status.code != 404:
                        raise
                    self._gateway = False
        return self._gateway

    def changes(self, kind: str, labels: dict[str, str]) -> Iterator[None]:
        """Yield whenever an object with the labels changes; ends when the cluster ends the watch.

        Raises:
            StackUnavailable: the watch broke, or the version it began from is gone (410): begin again.
        """
        with _translated():
            for _ in self._client.watch(_resource(kind), namespace=self._namespace, labels=dict(labels), server_timeout=300):
                yield

    def close(self) -> None:
        """Hang up."""
        self._client.close()


def connect(kubeconfig: str, namespace: str) -> Cluster:
    """Connect to a cluster.

    Args:
        kubeconfig: file, ``http(s)://`` address of an API without credentials, or empty: this pod's service account, then
            ``KUBECONFIG``, then the user's own file.
        namespace: where everything happens.

    Raises:
        SettingsError: there is no such configuration.
    """
    try:
        config = _config(kubeconfig)
        client: Client = Client(config=config, namespace=namespace, timeout=httpx2.Timeout(_TIMEOUT), field_manager=MANAGER)
    except (ConfigError, OSError, KeyError, ValueError) as error:
        raise SettingsError(
            f"No Kubernetes cluster is configured ({error}).", remedy="Set SAMOVAR_KUBECONFIG to a kubeconfig file."
        ) from None
    return Cluster(client, namespace)


def _config(kubeconfig: str) -> Any:
    if kubeconfig.startswith(("http://", "https://")):
        return KubeConfig.from_one(cluster=KubeCluster(server=kubeconfig), user=User())
    return KubeConfig.from_file(kubeconfig) if kubeconfig else KubeConfig.from_env()


def _resource(kind: str) -> Any:
    if kind == "HTTPRoute":
        return create_namespaced_resource(_GATEWAY_API, "v1", "HTTPRoute", "httproutes")
    return getattr(importlib.import_module(_WHERE[kind]), kind)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turn the client's failures into ours."""
    try:
        yield
    except ApiError as error:
        status = error.status
        if status.code == 409:
            raise Conflict(f"Kubernetes: {status.message}", remedy="It is tried again.") from None
        if status.code in {401, 403}:
            raise GiveUp(
                f"Kubernetes does not allow it: {status.message}", remedy="Give Samovar's account the role in deploy/."
            ) from None
        if status.code in {410, 429} or (status.code or 500) >= 500:
            raise StackUnavailable(f"Kubernetes cannot answer now: {status.message}") from None
        raise GiveUp(f"Kubernetes refuses it: {status.message}") from None
    except msgspec.ValidationError as error:
        raise StackUnavailable(f"What Kubernetes answers is not what it should be ({error}).") from None
    except httpx2.HTTPError as error:
        raise StackUnavailable(
            f"Kubernetes cannot be reached ({type(error).__name__}).", remedy="Check SAMOVAR_KUBECONFIG."
        ) from None
