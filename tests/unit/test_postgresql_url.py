"""POSTGRESQL_URL: what is refused, and that nothing of a password is ever told."""

from __future__ import annotations

import pytest

from agent.runtime import metrics
from agent.runtime.datastores.postgresql import PostgreSQLSettings, postgresql
from agent.runtime.scope import Scope, lifespan_scope
from tests.unit.everything_told import everything_told

WORD = "hunter2"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"postgresql://app:{WORD}/x@127.0.0.1:1/calls", "it cannot be read"),
        (f"postgresql://app:{WORD}@127.0.0.1:{WORD}/calls", "it cannot be read"),
        (f"postgresql://app:{WORD}@/calls", "it cannot be read"),
        (f"postgresql://app:{WORD}@127.0.0.1:1", "no database"),
        ("postgresql://127.0.0.1:1/calls", "no user"),
        (f"postgresql://app:{WORD}@127.0.0.1:1/calls?channel_binding=require", "an option 'channel_binding'"),
        (f"postgresql://app@127.0.0.1:1/calls?password={WORD}", "an option 'password'"),
        (f"postgresql://app:{WORD}@127.0.0.1:1/calls?host=10.0.0.1", "an option 'host'"),
        (f"postgresql://app:{WORD}@127.0.0.1:1/calls?sslmode=require&sslmode=prefer", "more than one"),
        (f"postgresql://app:{WORD}@127.0.0.1:1/calls?sslrootcert=/nowhere", "its sslrootcert='/nowhere'"),
        # These asyncpg refuses itself, or nobody listens.
        (f"postgresql://app:{WORD}@127.0.0.1:1/calls", "postgresql could not be opened"),
        (f"postgres://app:{WORD}@127.0.0.1:99999/calls", "postgresql could not be opened"),
        (f"postgresql://app:{WORD}@127.0.0.1:1,127.0.0.1:2/calls", "postgresql could not be opened"),
        (
            f"postgresql://app:{WORD}@127.0.0.1:1/calls?sslmode=sometimes",
            "`sslmode` parameter must be one of",
        ),
        (f"postgresql://app:{WORD}@127.0.0.1:1/calls?ssl_min_protocol_version=TLSv9", "TLSv9"),
    ],
)
async def test_what_cannot_be_opened_is_told_without_the_password(
    url: str, said: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics.keep_in_memory()
    with lifespan_scope(Scope("job", 2)):
        opened = postgresql(settings=PostgreSQLSettings.from_environment({"POSTGRESQL_URL": url}))
        told = await everything_told(opened, caplog, monkeypatch)
    assert said in told
    assert WORD not in told
