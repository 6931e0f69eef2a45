"""livekit-server given the rendered configuration, FerretDB the rendered arguments: the real programs, on loopback."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator

import pytest
from livekit import api
from pymongo import AsyncMongoClient
from ruamel.yaml import YAML

from infra.local.ports import LOOPBACK, free_port, retry_on_clash
from infra.local.run import Run
from infra.local.servers import livekit as livekit_server
from infra.local.servers.probes import accepts_tcp
from infra.supply.binaries import binary
from tests.charts.datastores.scenarios import Scenario, container, merged

pytestmark = pytest.mark.integration


@pytest.fixture
async def run() -> AsyncIterator[Run]:
    async with Run("test-charts") as run:
        yield run


async def test_livekit_takes_its_configuration_and_the_secrets_keys(run: Run) -> None:
    scenario, secret = Scenario("livekit", "everything"), secrets.token_hex(24)

    async def start() -> str:
        port = free_port()
        values = {
            "service": {"type": "ClusterIP"},
            "signal": {"port": port},
            "rtc": {"nodeIp": LOOPBACK, "udpPort": free_port(), "tcpPort": free_port()},
            "metrics": {"enabled": False},  # on a port that is the same for everybody
        }
        config = YAML(typ="safe").load(scenario.one("ConfigMap", **values)["data"]["config.yaml"])
        loopback = {
            "bind_addresses": [LOOPBACK],
            "rtc": {"ips": {"includes": [f"{LOOPBACK}/32"]}, "enable_loopback_candidate": True},
        }
        file = run.private_file("livekit.yaml", json.dumps(merged(config, loopback)))
        pod = scenario.one("Deployment", **values)["spec"]["template"]["spec"]
        variables = {v["name"]: v.get("value") for v in container(pod, "livekit-server")["env"]}
        # As the kubelet expands them.
        keys = variables["LIVEKIT_KEYS"].replace("$(API_KEY)", "key").replace("$(API_SECRET)", secret)
        environment = {"LIVEKIT_KEYS": keys, "NODE_IP": variables["NODE_IP"]}
        process = run.start(
            "livekit-server", [binary("livekit-server"), "--config", file], environment=environment
        )
        await livekit_server.ready(process, port)
        return f"http://{LOOPBACK}:{port}"

    url = await retry_on_clash(start)
    async with api.LiveKitAPI(url, "key", secret) as livekit:
        room = await livekit.room.create_room(api.CreateRoomRequest(name="room"))
        assert room.name == "room"
    async with api.LiveKitAPI(url, "key", secrets.token_hex(24)) as stranger:
        with pytest.raises(api.TwirpError, match="status=401"):
            await stranger.room.list_rooms(api.ListRoomsRequest())


async def test_ferretdb_takes_its_arguments(run: Run) -> None:
    pod = Scenario("mongodb", "ferretdb").one("StatefulSet")["spec"]["template"]["spec"]
    arguments: list[str] = container(pod, "ferretdb")["args"]
    env = {variable["name"]: variable for variable in container(pod, "ferretdb")["env"]}
    mounts = [mount["mountPath"] for mount in container(pod, "ferretdb")["volumeMounts"]]
    password = secrets.token_hex(16)
    assert arguments[-1] in mounts

    async def start() -> int:
        port = free_port()
        places = {"0.0.0.0:27017": f"{LOOPBACK}:{port}", "/data": str(run.directory("data"))}
        process = run.start(
            "ferretdb",
            [binary("ferretdb"), *(places.get(a, a) for a in arguments)],
            environment={name: user.get("value", password) for name, user in env.items()},
        )
        await process.ready(lambda: accepts_tcp(port), within=20)
        return port

    port = await retry_on_clash(start)
    async with AsyncMongoClient[dict[str, int]](LOOPBACK, port, username="app", password=password) as client:
        await client["agent"]["documents"].insert_one({"number": 1})
        assert await client["agent"]["documents"].count_documents({}) == 1
