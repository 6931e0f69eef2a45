"""The rendered ConfigMap run by a real valkey-server: its users, its limit, its passwords.

Paths of the container become a directory of the run, the port one from the system, and the server listens on loopback
only; everything else is what a pod would run.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError, RedisError

from infra.budget.solution import RedisServer
from infra.local.ports import LOOPBACK, free_port, retry_on_clash
from infra.local.process import Process
from infra.local.run import Run
from infra.local.servers.probes import accepts_tcp
from infra.supply.binaries import binary
from tests.charts.datastores.scenarios import Scenario

pytestmark = pytest.mark.integration

SCENARIO = Scenario("redis", "default")
USERS = ("app", "operator", "exporter")


@dataclass
class Pod:
    """A directory laid out as the container's, and the server in it."""

    run: Run
    files: Path
    port: int = 0
    process: Process | None = None

    def put(self, name: str, password: str) -> None:
        (self.files / "passwords" / name).write_text(f"{password}\n")

    def layout(self) -> None:
        data = SCENARIO.one("ConfigMap", exporter=WITH_EXPORTER, persistence={"mode": "none"})["data"]
        for folder in ("conf", "passwords", "run", "data"):
            (self.files / folder).mkdir(exist_ok=True)
        for name, text in data.items():
            for inside, outside in (
                ("/etc/valkey/conf", self.files / "conf"),
                ("/etc/valkey/passwords", self.files / "passwords"),
                ("/run/valkey", self.files / "run"),
                ("dir /data", f"dir {self.files / 'data'}"),
                ("port 6379", f"port {self.port}\nbind {LOOPBACK}"),
                ("exec valkey-server", f"exec {binary('valkey-server')}"),
            ):
                text = text.replace(inside, str(outside))  # noqa: PLW2901
            (self.files / "conf" / name).write_text(text)

    def script(self, name: str) -> Process:
        return self.run.start(name, ["sh", self.files / "conf" / name])

    @asynccontextmanager
    async def user(self, name: str, password: str) -> AsyncIterator[Redis]:
        async with Redis(host=LOOPBACK, port=self.port, username=name, password=password) as client:
            yield client


WITH_EXPORTER = {"enabled": True}


@pytest.fixture
async def pod() -> AsyncIterator[Pod]:
    async with Run("test-valkey") as run:
        files = run.directory("pod")
        pod = Pod(run, files)

        async def start() -> Pod:
            pod.port = free_port()
            pod.layout()
            for user in USERS:
                pod.put(f"{user}-password", password_of(user))
            pod.process = pod.script("start.sh")
            await pod.process.ready(lambda: accepts_tcp(pod.port), within=20)
            return pod

        yield await retry_on_clash(start)


def password_of(user: str) -> str:
    """With what a shell, a YAML file or an ACL might stumble over."""
    return f"{user} '\"$HOME #>~*\\"


Command = Callable[[Redis], Awaitable[Any]]

MAY: list[tuple[str, str, Command]] = [
    ("app", "writes", lambda c: c.set("key", "value")),
    ("app", "publishes", lambda c: c.publish("channel", "message")),
    ("app", "runs scripts", lambda c: c.eval("return 1", 0)),
    ("exporter", "reads figures", lambda c: c.info()),
    ("exporter", "reads the slow log", lambda c: c.slowlog_get(1)),
    ("operator", "configures", lambda c: c.config_get("maxclients")),
    ("operator", "lists clients", lambda c: c.client_list()),
]
MAY_NOT: list[tuple[str, str, Command]] = [
    ("app", "empties the server", lambda c: c.flushall()),
    ("app", "configures", lambda c: c.config_set("maxclients", 10_000)),
    ("app", "lists keys", lambda c: c.keys("*")),
    ("app", "closes other clients", lambda c: c.client_kill_filter(_type="normal")),
    ("app", "stops the server", lambda c: c.execute_command("SHUTDOWN")),
    ("exporter", "reads data", lambda c: c.get("key")),
    ("exporter", "writes data", lambda c: c.set("key", "value")),
    ("exporter", "reads the configuration", lambda c: c.config_get("*")),
]


async def test_each_user_may_do_its_work_and_nothing_else(pod: Pod) -> None:
    for name, what, command in MAY:
        async with pod.user(name, password_of(name)) as client:
            assert await command(client) is not None, f"{name} {what}"
    for name, what, command in MAY_NOT:
        async with pod.user(name, password_of(name)) as client:
            try:
                await command(client)
            except NoPermissionError:
                continue
            pytest.fail(f"{name} {what}")


@pytest.mark.parametrize(("name", "password"), [("default", ""), ("app", "wrong"), ("nobody", "x")])
async def test_nobody_else_gets_in(pod: Pod, name: str, password: str) -> None:
    async with pod.user(name, password) as client:
        with pytest.raises(RedisError):
            await client.ping()


async def test_the_server_has_the_budgets_limit_and_refuses_the_client_after_it(pod: Pod) -> None:
    server = SCENARIO.datastore.server
    assert isinstance(server, RedisServer)
    clients = [
        Redis(
            host=LOOPBACK,
            port=pod.port,
            username="app",
            password=password_of("app"),
            retry=Retry(NoBackoff(), 0),
        )
        for _ in range(server.maxclients + 1)
    ]
    try:
        for client in clients[:-1]:
            assert await client.ping()
        with pytest.raises(RedisConnectionError, match="max number of clients"):
            await clients[-1].ping()
    finally:
        for client in clients:
            await client.aclose()
    async with pod.user("operator", password_of("operator")) as operator:
        assert (await operator.config_get("maxmemory"))["maxmemory"] == str(
            server.max_memory_mib * 1024 * 1024
        )
        # Not lowered for want of descriptors.
        assert (await operator.config_get("maxclients"))["maxclients"] == str(server.maxclients)


async def test_a_password_changes_without_a_moment_in_which_nobody_may_enter(pod: Pod) -> None:
    old, new = password_of("app"), secrets.token_hex(16)
    pod.put("app-password-previous", old)
    pod.put("app-password", new)
    await reload(pod)
    for password in (old, new):
        async with pod.user("app", password) as client:
            assert await client.ping()
    (pod.files / "passwords" / "app-password-previous").unlink()
    await reload(pod)
    async with pod.user("app", new) as client:
        assert await client.ping()
    async with pod.user("app", old) as client:
        with pytest.raises(RedisError):
            await client.ping()


async def test_clients_that_are_connected_live_through_a_change_of_their_password(pod: Pod) -> None:
    old = password_of("app")
    async with Redis(host=LOOPBACK, port=pod.port, username="app", password=old) as client:
        await client.set("key", "before")
        connection = await client.client_id()
        pod.put("app-password-previous", old)
        pod.put("app-password", secrets.token_hex(16))
        await reload(pod)
        assert await client.get("key") == b"before"
        assert await client.client_id() == connection


async def reload(pod: Pod) -> None:
    """What README.md tells operators to do."""
    await pod.script("users.sh").finished(within=10)
    async with pod.user("operator", password_of("operator")) as operator:
        assert await operator.acl_load()


async def test_without_a_password_the_server_does_not_start_and_says_which(pod: Pod) -> None:
    (pod.files / "passwords" / "operator-password").write_text("")
    refused = pod.script("start.sh")
    assert await refused.exited(within=10)
    assert refused.kill() == 1
    assert "no operator-password in the Secret redis-users, or it is empty" in refused.last_lines()


async def test_passwords_are_in_no_file_and_no_argument(pod: Pod) -> None:
    assert pod.process is not None
    arguments = " ".join(psutil.Process(pod.process.pid).cmdline())
    written = [
        file
        for folder in ("conf", "run", "data")
        for file in (pod.files / folder).rglob("*")
        if file.is_file()
    ]
    for text in (arguments, *(file.read_text(errors="replace") for file in written)):
        assert not [user for user in USERS if password_of(user) in text]
    assert (pod.files / "run" / "users.acl").stat().st_mode & 0o077 == 0
