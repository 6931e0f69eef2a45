"""The Secrets of the stack that helm installs: made once from the system's randomness, changed for a rotation."""

from __future__ import annotations

import secrets
from typing import Any

from infra.kind.cluster import Cluster

LIVEKIT_KEYS, REDIS_USERS, MONGODB_USERS, WORKER = (
    "livekit-keys",
    "redis-users",
    "mongodb-users",
    "agent-datastores",
)


def write(cluster: Cluster, namespace: str, name: str, texts: dict[str, str]) -> None:
    cluster.apply([_secret(namespace, name, texts)])


def ensure(cluster: Cluster, namespace: str, *, livekit_url: str) -> None:
    """Make those that are missing. A second run changes nothing: passwords stay."""
    keys = _made_once(
        cluster,
        namespace,
        LIVEKIT_KEYS,
        {"LIVEKIT_API_KEY": f"API{secrets.token_hex(6)}", "LIVEKIT_API_SECRET": secrets.token_hex(24)},
    )
    redis = _made_once(cluster, namespace, REDIS_USERS, _passwords())
    mongodb = _made_once(cluster, namespace, MONGODB_USERS, _passwords())
    wanted = {
        "LIVEKIT_URL": livekit_url,
        **keys,
        "MONGODB_URL": mongodb_url("app", mongodb["app-password"]),
        "REDIS_URL": redis_url("app", redis["app-password"]),
    }
    if cluster.secret(namespace, WORKER) != wanted:
        write(cluster, namespace, WORKER, wanted)


def mongodb_url(user: str, password: str) -> str:
    return f"mongodb://{user}:{password}@mongodb:27017/agent?authSource=admin"


def redis_url(user: str, password: str) -> str:
    return f"redis://{user}:{password}@redis:6379/0"


def _passwords() -> dict[str, str]:
    return {"app-password": secrets.token_hex(16), "operator-password": secrets.token_hex(16)}


def _made_once(cluster: Cluster, namespace: str, name: str, texts: dict[str, str]) -> dict[str, str]:
    there = cluster.secret(namespace, name)
    if not there:
        write(cluster, namespace, name, texts)
    return there or texts


def _secret(namespace: str, name: str, texts: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "stringData": texts,
    }
