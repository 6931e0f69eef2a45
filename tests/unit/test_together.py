"""Several datastores opened at once: as fast as the slowest, closed one by one, and all or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from beanie import Document, View
from beanie.odm.utils.init import Initializer
from pymongo import AsyncMongoClient

from agent.runtime.datastores.mongodb_documents import major_version, register, warm_up
from agent.runtime.datastores.together import joining, together

NOWHERE = "mongodb://127.0.0.1:1"


class Stores:
    """Datastores that note what happens to them; each opens once it is let."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.let = {name: asyncio.Event() for name in ("one", "other")}

    @asynccontextmanager
    async def store(self, name: str, error: Exception | None = None) -> AsyncIterator[str]:
        self.events.append(f"{name} opening")
        try:
            await self.let[name].wait()
            if error:
                raise error
            yield name
        finally:
            self.events.append(f"{name} closed")


async def test_all_open_at_once_and_close_in_reverse() -> None:
    stores = Stores()

    async def use() -> None:
        async with together(stores.store("one"), stores.store("other")) as (one, other):
            stores.events.append(f"{one} and {other} open")

    task = asyncio.create_task(use())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert stores.events == ["one opening", "other opening"]
    for name in ("other", "one"):  # whichever comes first
        stores.let[name].set()
    await task
    assert stores.events[2:] == ["one and other open", "other closed", "one closed"]


async def test_one_that_fails_closes_what_is_open_and_stops_what_opens() -> None:
    stores = Stores()
    stores.let["one"].set()
    stores.let["other"].set()
    with pytest.raises(RuntimeError, match="refused"):
        async with together(stores.store("one"), stores.store("other", RuntimeError("refused"))):
            pytest.fail("entered")
    assert sorted(stores.events[2:]) == ["one closed", "other closed"]
    stores = Stores()
    stores.let["other"].set()
    with pytest.raises(RuntimeError, match="refused"):
        async with together(stores.store("one"), stores.store("other", RuntimeError("refused"))):
            pytest.fail("entered")
    assert sorted(stores.events[2:]) == ["one closed", "other closed"]


async def test_a_cancel_while_opening_closes_all() -> None:
    stores = Stores()
    stores.let["one"].set()

    async def use() -> None:
        async with together(stores.store("one"), stores.store("other")):
            pytest.fail("entered")

    task = asyncio.create_task(use())
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(stores.events[2:]) == ["one closed", "other closed"]


async def test_an_error_inside_reaches_each_of_them() -> None:
    stores = Stores()
    for event in stores.let.values():
        event.set()
    with pytest.raises(ValueError, match="in the call"):
        async with together(stores.store("one"), stores.store("other")):
            raise ValueError("in the call")
    assert stores.events[2:] == ["other closed", "one closed"]


async def test_joining_yields_the_room() -> None:
    async def connect() -> None:
        joined.append(True)

    joined: list[bool] = []
    context: Any = SimpleNamespace(connect=connect, room="the room")
    async with joining(context) as room:
        assert joined
        assert room is context.room


# Beanie's documents, registered without a question to the server


class Plain(Document):
    key: str


class OnlyAView(View):
    key: str

    class Settings:
        source = Plain


class Series(Document):
    class Settings:
        timeseries = "asks which collections there are"


async def test_documents_are_registered_without_a_server() -> None:
    async with AsyncMongoClient[dict[str, Any]](NOWHERE) as client:
        await register(client["agent"], [Plain])
        assert Plain.get_pymongo_collection().name == "Plain"


@pytest.mark.parametrize("model", [OnlyAView, Series])
async def test_views_and_time_series_still_ask(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class AskedError(Exception):
        pass

    async def ask(_: Initializer) -> None:
        raise AskedError

    monkeypatch.setattr(Initializer, "_load_cached_info", ask)
    async with AsyncMongoClient[dict[str, Any]](NOWHERE) as client:
        with pytest.raises(AskedError):
            await register(client["agent"], [model])


def test_prewarm_needs_no_loop_and_no_server() -> None:
    warm_up(AsyncMongoClient[dict[str, Any]](NOWHERE)["agent"])


@pytest.mark.parametrize(("wire", "major"), [(0, 4), (9, 4), (13, 5), (17, 6), (21, 7), (25, 8), (27, 8)])
def test_the_handshake_tells_the_servers_version(wire: int, major: int) -> None:
    assert major_version(wire) == major
