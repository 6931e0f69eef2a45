"""LiveKit's options: every keyword is decided, the page says how, and none that is not obeyed is taken in silence."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import AgentServer, JobExecutorType
from livekit.agents.worker import ServerEnvOption, ServerOptions

from agent.runtime import options, registration
from agent.runtime.errors import OptionRefused
from agent.runtime.server import LifespanServer
from agent.runtime.settings import WorkerSettings
from tests.unit.options_page import PAGE, keywords, page

REFUSED = [option.keyword for option in options.SERVER if option.refused]
HANDED_ON = [option.keyword for option in options.SERVER if not option.refused]
OURS = {"lifespan", "worker_lifespan", "prewarm", "settings"}


def settings(**given: Any) -> WorkerSettings:
    directories = ("AGENT_SLOT_DIRECTORY", "AGENT_SPOOL_DIRECTORY", "PROMETHEUS_MULTIPROC_DIR")
    return WorkerSettings.model_validate({**dict.fromkeys(directories, "/nowhere"), **given})


def test_every_keyword_of_livekits_is_decided_once() -> None:
    assert [option.keyword for option in options.SERVER] == list(keywords(AgentServer.__init__))
    assert [option.keyword for option in options.SESSION] == list(keywords(AgentServer.rtc_session))
    assert set(keywords(AgentServer.update_options)) <= set(keywords(AgentServer.__init__))
    fields = {options.RENAMED.get(name, name) for name in ServerOptions.__dataclass_fields__}
    assert fields - set(options.OF_SESSION) == set(keywords(AgentServer.__init__))


def test_what_is_handed_on_is_what_the_signatures_say() -> None:
    assert list(options.LiveKitOptions.__annotations__) == HANDED_ON
    taken = set(keywords(LifespanServer.__init__)) - OURS
    assert taken == {"livekit"}, "a keyword of ours is not in the table's way"
    assert set(keywords(LifespanServer.rtc_session)) == {"func", *options.SessionOptions.__annotations__}
    assert set(keywords(AgentServer.rtc_session)) <= set(keywords(LifespanServer.rtc_session))


def test_every_refusal_names_a_variable_that_the_settings_read() -> None:
    variables = {field.alias for field in WorkerSettings.model_fields.values()}
    for option in options.SERVER:
        assert option.refused or not option.variable, option
        assert not option.variable or (option.variable in variables and option.variable in option.refused)


def test_the_page_is_the_tables() -> None:
    assert PAGE.read_text() == page(), "write it anew: python -m tests.unit.options_page"


@pytest.mark.parametrize("keyword", REFUSED)
def test_what_the_budget_sets_is_refused_by_name(keyword: str) -> None:
    variable = next(option.variable for option in options.SERVER if option.keyword == keyword)
    with pytest.raises(OptionRefused, match=rf"LifespanServer\({keyword}=7\) is not accepted: .*{variable}"):
        options.accepted("LifespanServer", {keyword: 7})
    assert options.accepted("LifespanServer", {keyword: None}) == {}, "LiveKit's own way to say nothing"


def test_threads_are_refused() -> None:
    with pytest.raises(OptionRefused, match=r"accepted: JobExecutorType\.PROCESS"):
        options.accepted("LifespanServer", {"job_executor_type": JobExecutorType.THREAD})


async def entrypoint(ctx: Any, state: Any) -> None: ...
async def alone(ctx: Any) -> None: ...
async def more(ctx: Any, state: Any, much: Any) -> None: ...
async def maybe(ctx: Any, state: Any = None) -> None: ...
def not_async(ctx: Any, state: Any) -> None: ...


@wraps(alone)
def decorated(ctx: Any) -> Any:
    return alone(ctx)


class Callables:
    async def __call__(self, ctx: Any, state: Any) -> None: ...


@pytest.mark.parametrize(
    ("given", "arguments"),
    [(entrypoint, 2), (maybe, 2), (Callables(), 2), (partial(more, much=1), 2), (alone, 1), (decorated, 1)],
)
def test_hooks_may_leave_the_state_out(given: Callable[..., Any], arguments: int) -> None:
    hook = registration.hook(given, "rtc_session: the entrypoint")
    assert isinstance(hook, registration.WithoutState) == (arguments == 1)
    inspect.signature(hook).bind("ctx", "state")


async def test_a_hook_without_state_is_called_with_the_context() -> None:
    seen: list[Any] = []

    async def hook(ctx: Any) -> None:
        seen.append(ctx)

    context: Any = object()
    await registration.hook(hook, "")(context, "state")
    assert seen == [context]


@pytest.mark.parametrize("given", [more, not_async, lambda _: None])
def test_hooks_of_another_shape_are_refused_where_they_are_registered(given: Any) -> None:
    with pytest.raises(OptionRefused, match=r"the entrypoint .*: accepted: an `async def` of \(ctx, state\)"):
        registration.hook(given, "rtc_session: the entrypoint")


def test_what_a_job_process_cannot_import_is_refused() -> None:
    async def local(ctx: Any) -> None: ...

    registration.check_importable(entrypoint)
    with pytest.raises(
        OptionRefused, match=r"(?s)cannot import .*local.*accepted: functions of a module's top level"
    ):
        registration.check_importable(registration.WithoutState(local))


@pytest.mark.parametrize(
    ("given", "environment", "said", "name"),
    [
        ({}, {}, None, None),
        ({}, {}, "decorated", "decorated"),
        ({}, {}, "", ""),
        ({"AGENT_NAME": "a"}, {}, None, "a"),
        ({"AGENT_NAME": "a"}, {}, "a", "a"),
        ({}, {"LIVEKIT_AGENT_NAME": "l"}, None, "l"),
        ({}, {"LIVEKIT_AGENT_NAME": ""}, "d", "d"),
        ({"AGENT_NAME": "a"}, {"LIVEKIT_AGENT_NAME_OVERRIDE": "forced"}, "b", "forced"),
    ],
)
def test_the_agents_name_is_the_one_that_was_given(
    monkeypatch: pytest.MonkeyPatch,
    given: dict[str, str],
    environment: dict[str, str],
    said: str | None,
    name: str | None,
) -> None:
    for variable in ("LIVEKIT_AGENT_NAME", "LIVEKIT_AGENT_NAME_OVERRIDE"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    assert registration.agent_name(settings(**given), said) == name


@pytest.mark.parametrize(
    ("given", "environment", "said"),
    [
        ({"AGENT_NAME": "a"}, "", "b"),
        ({"AGENT_NAME": "a"}, "", ""),
        ({"AGENT_NAME": "a"}, "l", None),
        ({}, "l", "b"),
    ],
)
def test_two_names_are_refused(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], environment: str, said: str | None
) -> None:
    monkeypatch.delenv("LIVEKIT_AGENT_NAME_OVERRIDE", raising=False)
    monkeypatch.setenv("LIVEKIT_AGENT_NAME", environment)
    with pytest.raises(OptionRefused, match=r"the agent has two names: \w+.*=.*, .*give it once"):
        registration.agent_name(settings(**given), said)


def test_only_what_differs_from_livekits_defaults_counts_as_given() -> None:
    assert options.given_in(ServerOptions(entrypoint_fnc=alone)) == {}
    said = ServerOptions(
        entrypoint_fnc=alone,
        prewarm_fnc=print,
        agent_name="x",
        ws_url="ws://x",
        num_idle_processes=ServerEnvOption(dev_default=1, prod_default=77),
    )
    assert options.given_in(said) == {
        "setup_fnc": print,
        "ws_url": "ws://x",
        "num_idle_processes": ServerEnvOption(dev_default=1, prod_default=77),
    }


def test_nothing_is_taken_in_silence_by_a_real_server(tmp_path: Path) -> None:
    """In a process of its own: a LifespanServer sets up this one's metrics for good."""
    environment = {**os.environ, "AGENT_SLOT_DIRECTORY": str(tmp_path), "PYTHONPATH": "."}
    for name in ("AGENT_NAME", "LIVEKIT_AGENT_NAME", "LIVEKIT_AGENT_NAME_OVERRIDE"):
        environment.pop(name, None)
    ran = subprocess.run(
        [sys.executable, "tests/unit/optioned_servers.py"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
