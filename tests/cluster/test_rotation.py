"""Passwords change with calls running, in the order that the charts' READMEs give."""

from __future__ import annotations

import asyncio
import hashlib
import secrets

import pytest

from infra.kind import installed
from infra.kind.cluster import Cluster
from infra.kind.installed import FLEET, NAMESPACE
from infra.local.eventually import eventually
from tests.cluster import install, pods
from tests.cluster import secrets as stored
from tests.cluster.install import Stack
from tests.cluster.load import load
from tests.cluster.test_rolling import end
from tests.cluster.watching import Watch, within_budget

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500, func_only=True)]

NEXT = f"{stored.WORKER}-next"
IN_REDIS = ("-n", NAMESPACE, "exec", "redis-0", "--container", "valkey", "--")
USERS_SCRIPT, PASSWORDS = "/etc/valkey/conf/users.sh", "/etc/valkey/passwords"
MONGODB = """
import pymongo
client = pymongo.MongoClient(given["url"], maxPoolSize=1)
try: print(client.admin.command(given["command"], given["user"], **given["with"]))
except pymongo.errors.OperationFailure as error: print("refused" if error.code == 18 else error)
"""
REDIS = """
import redis
try: print(redis.Redis.from_url(given["url"]).execute_command(given["command"]))
except redis.exceptions.AuthenticationError: print("refused")
"""


@pytest.mark.extended
async def test_rotation(cluster: Cluster, fast: Stack) -> None:
    """Old and new are good while workers drain, then the old are refused; no call notices."""
    jobs = fast.solution.fleet.jobs
    old, redis_users = _read(cluster, stored.WORKER), _read(cluster, stored.REDIS_USERS)
    passwords = {name: secrets.token_hex(16) for name in ("mongodb", "mongodb-at-last", "redis")}
    new = {
        "MONGODB_URL": stored.mongodb_url("app-next", passwords["mongodb"]),
        "REDIS_URL": stored.redis_url("app", passwords["redis"]),
    }
    redis_anew = redis_users | {"app-password": passwords["redis"]}
    operator = stored.redis_url("operator", redis_users["operator-password"])
    with Watch(cluster, fast, "rotation") as watch:
        previous = {"app-password-previous": redis_users["app-password"]}
        await _written(cluster, redis_anew | previous)
        async with load(install.line(cluster)) as calls:
            await calls.hold(jobs)
            watch.calls(calls.talking)

            # 1. The servers accept both.
            password = passwords["mongodb"]
            _mongodb(cluster, old["MONGODB_URL"], "createUser", "app-next", pwd=password, roles=[])
            _loaded(cluster, operator)

            # 2. A Secret of another name rolls the workers; who talks goes on with what it has.
            stored.write(cluster, NAMESPACE, NEXT, new)
            named = {name: {"existingSecret": NEXT} for name in new}
            rotated = fast.with_fleet(secrets={**fast.values()[FLEET]["secrets"], **named})
            watch.mark("rollout")
            await asyncio.to_thread(install.release, cluster, rotated, FLEET)
            await asyncio.to_thread(installed.rolled_out, cluster, f"deployment/{FLEET}")
            assert calls.talking == jobs
            await calls.hold(jobs)
            watch.calls(calls.talking)
            await end(cluster, fast, calls, watch)

        # 3. Nobody drains any more: the old ones go.
        at_last = passwords["mongodb-at-last"]
        _mongodb(cluster, new["MONGODB_URL"], "updateUser", "app", pwd=at_last)
        # Empty is none: the API server keeps a key that an apply leaves out.
        await _written(cluster, redis_anew | {"app-password-previous": ""})
        _loaded(cluster, operator)
        assert _mongodb(cluster, old["MONGODB_URL"], "usersInfo", "app") == "refused"
        assert pods.ask(cluster, REDIS, url=old["REDIS_URL"], command="ping").strip() == "refused"
        async with load(install.line(cluster)) as calls:
            await calls.hold(jobs)
            watch.calls(calls.talking)
            await end(cluster, fast, calls, watch)
    within_budget(watch)

    # Back to one user, whose password is what the installer reads; the one of the way between goes.
    users = _read(cluster, stored.MONGODB_USERS) | {"app-password": at_last}
    stored.write(cluster, NAMESPACE, stored.MONGODB_USERS, users)
    await asyncio.to_thread(install.install, cluster, fast)
    _mongodb(cluster, stored.mongodb_url("app", at_last), "dropUser", "app-next")


async def _written(cluster: Cluster, texts: dict[str, str]) -> None:
    """Change the Secret of Redis's users, and wait until the kubelet has written it into the pod (up to a minute)."""
    stored.write(cluster, NAMESPACE, stored.REDIS_USERS, texts)
    wanted = {
        hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items() if name.startswith("app")
    }

    async def written() -> bool:
        sums = (*IN_REDIS, "sh", "-c", f"sha256sum {PASSWORDS}/app-password*")
        seen = await asyncio.to_thread(cluster.kubectl, *sums)
        return {line.split()[0] for line in seen.splitlines()} == wanted

    await eventually(written, within=150, every=3, what="the kubelet writes the Secret into the pod")


def _loaded(cluster: Cluster, operator: str) -> None:
    """Have the server read what is written."""
    cluster.kubectl(*IN_REDIS, "sh", USERS_SCRIPT)
    assert "True" in pods.ask(cluster, REDIS, url=operator, command="ACL LOAD")


def _mongodb(cluster: Cluster, url: str, command: str, user: str, **more: object) -> str:
    return pods.ask(cluster, MONGODB, url=url, command=command, user=user, **{"with": more}).strip()


def _read(cluster: Cluster, name: str) -> dict[str, str]:
    return cluster.secret(NAMESPACE, name)
