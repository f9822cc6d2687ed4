"""Where and how endpoints stand in a cluster: what the runtime is told once."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Placement:
    """Settings of the Kubernetes runtime.

    Attributes:
        namespace: where the endpoints live.
        image: Samovar's endpoint image.
        tracking_uri: address of MLflow as pods reach it.
        instance: name of this Samovar; only what carries it is ever changed or deleted.
        secret: Kubernetes Secret whose keys become the pods' environment (MLflow's credentials, ``SAMOVAR_API_KEY_HASHES``); empty
            is none.
        open_to_all: whether pods answer whoever reaches them, without a key.
        replicas: pods of an endpoint of which no tag says how many.
        max_replicas: how far an endpoint may grow under load; not above ``replicas`` lets none grow.
        cpu_percent: average use of the requested CPU at which another pod is added.
        cpu: cores that a pod asks for.
        memory_mb: megabytes (10^6 bytes) that a pod asks for, and may take at most unless a tag says otherwise.
        gateway: ``namespace/name`` of the Gateway whose routes lead to endpoints; empty makes no routes.
        progress_seconds: longest time that a new version may take until it answers.
        drain_seconds: longest time that a replaced pod may take to answer what it has.
    """

    namespace: str
    image: str
    tracking_uri: str
    instance: str = "samovar"
    secret: str = ""
    open_to_all: bool = False
    replicas: int = 1
    max_replicas: int = 0
    cpu_percent: int = 70
    cpu: float = 0.1
    memory_mb: float = 512.0
    gateway: str = ""
    progress_seconds: int = 300
    drain_seconds: int = 60
