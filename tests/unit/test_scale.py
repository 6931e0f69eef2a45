"""The scale page says what the solver says, and routers are counted by machines."""

from __future__ import annotations

import pytest

from infra.budget import mix, solve
from infra.budget.deployed import deployed
from infra.budget.solution import MongoDBServer
from infra.config import ConfigError
from infra.handoff.environment import worker_environment
from infra.report.scale import CALLS, PAGE, cell_of, page, sharded
from tests.unit.budget_cases import configured

ROUTERS = {"machines": 6, "workers_per_machine": 4, "shards": 2, "pool": 10}
BEHIND_ROUTERS = {"mongodb.plan": None, "mongodb.nodes": 3, "mongodb.routers": ROUTERS}


def test_the_page_is_what_the_solver_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m infra.scale"


@pytest.mark.parametrize("calls", CALLS)
@pytest.mark.parametrize("mode", ["fast", "strict"])
def test_every_row_of_the_page_fits(calls: int, mode: str) -> None:
    cell = cell_of(calls, -(-calls // 10_000), mode)
    assert solve(cell).fits
    assert solve(cell).fleet.jobs == min(calls, 10_000)
    assert solve(sharded(calls, mode)).datastores["mongodb_shards"].fits


def test_a_mongos_takes_its_machines_workers_and_the_shards_the_machines() -> None:
    solution = solve(configured(BEHIND_ROUTERS))
    mongos, shards = solution.datastores["mongodb"], solution.datastores["mongodb_shards"]
    assert (mongos.nodes, mongos.total) == (6, 4 * (25 * 3 + 2) + 20)
    assert (shards.nodes, shards.total) == (6, 6 * (10 + 2) + 5 * 10 + 20)
    assert isinstance(shards.server, MongoDBServer)
    assert solve(configured(BEHIND_ROUTERS | {"fleet.jobs": 300})).datastores["mongodb_shards"] == shards


def test_a_worker_behind_routers_is_told_of_its_mongos_only() -> None:
    with_routers = worker_environment(solve(configured(BEHIND_ROUTERS)))
    without = worker_environment(solve(configured({"mongodb.plan": None, "mongodb.nodes": 3})))
    with_routers.pop("AGENT_BUDGET_DIGEST")
    without.pop("AGENT_BUDGET_DIGEST")
    # What its gauge compares with: a client has the mongos of its machine, or each of three members.
    assert (
        with_routers.pop("MONGODB_CONNECTIONS_PER_WORKER"),
        without.pop("MONGODB_CONNECTIONS_PER_WORKER"),
    ) == ("77", "231")
    assert with_routers == without


def test_machines_that_are_too_few_are_pointed_out() -> None:
    assert not [text for text in solve(configured(BEHIND_ROUTERS)).warnings if "routers" in text]
    few = configured(BEHIND_ROUTERS | {"mongodb.routers": ROUTERS | {"machines": 4}})
    assert [text for text in solve(few).warnings if "4 machines of 4 take 16 workers, the peak is 20" in text]


def test_the_shards_of_a_limit_too_small_are_refused() -> None:
    config = configured(BEHIND_ROUTERS | {"mongodb.limit": 91})
    assert not solve(config).fits
    assert solve(configured(BEHIND_ROUTERS | {"mongodb.limit": 92})).fits


def test_a_provider_runs_its_own_mongos() -> None:
    with pytest.raises(ConfigError, match="no such key beside plan"):
        configured({"mongodb.routers": ROUTERS})


def test_more_calls_behind_the_same_machines_change_a_mongos_only() -> None:
    before = solve(configured(BEHIND_ROUTERS))
    after = solve(configured(BEHIND_ROUTERS | {"mongodb.pool": 3}))
    mixed = mix([deployed(before)], deployed(after)).datastores
    assert mixed["mongodb"].total == 4 * (25 * 4 + 2) + 20
    assert mixed["mongodb_shards"].total == after.datastores["mongodb_shards"].total
