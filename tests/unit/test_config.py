"""The stack config: what is accepted; all else gets a line with the key, the value and what is accepted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from infra.config import ConfigError, FastRolling, apply_overrides, load_config, parse_config
from infra.config.schema import StackConfig
from tests.unit.budget_cases import QUICK, configured

ROOT = Path(__file__).parents[2]
FLEET = "agent-datastores:fleet: {jobs: 8, slots: 4, max_call_seconds: 60}"


def problems(path: Path, text: str | bytes) -> list[str]:
    """The lines of the error, without the file's name that each must begin with."""
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigError) as raised:
        load_config(path)
    lines = str(raised.value).splitlines()
    assert all(line.startswith(f"{path}: ") for line in lines)
    return [line.removeprefix(f"{path}: ") for line in lines]


def problem(changes: dict[str, Any]) -> str:
    """The one line that these changes to a good config give."""
    with pytest.raises(ConfigError) as raised:
        configured(changes)
    (line,) = raised.value.problems
    return str(line).removeprefix("test: agent-datastores:")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "Pulumi.test.yaml"


# What is accepted


def test_the_stack_files_of_this_project_load() -> None:
    local = load_config(ROOT / "infra" / "Pulumi.local.yaml")
    assert (local.fleet.jobs, local.mongodb.plan, local.mongodb.limit) == (8, None, None)
    production = load_config(ROOT / "infra" / "Pulumi.production.yaml")
    assert (production.fleet.jobs, production.fleet.slots, production.fleet.rolling.surge) == (250, 25, 3)


def test_three_numbers_are_enough(file: Path) -> None:
    file.write_text(f"config:\n  {FLEET}\n", encoding="utf-8")
    config = load_config(file)
    assert config.fleet.rolling == FastRolling(mode="fast", surge=1, rollouts_per_grace_period=1)
    assert (config.mongodb.pool, config.mongodb.monitoring, config.redis.pool) == (2, "poll", 2)


def test_what_is_pulumis_or_another_projects_is_left_alone(file: Path) -> None:
    file.write_text(
        "encryptionsalt: v1:abc\nsecretsprovider: passphrase\nencryptedkey: xyz\nenvironment: [base]\n"
        "config:\n  kubernetes:context: kind\n  pulumi:tags: {a: b}\n  other:token: {secure: v1:abc}\n"
        f"  {FLEET}\n",
        encoding="utf-8",
    )
    assert load_config(file).fleet.jobs == 8


def test_every_field_says_what_it_is_for() -> None:
    def undescribed(model: dict[str, Any]) -> list[str]:
        return [name for name, field in model.get("properties", {}).items() if not field.get("description")]

    schema = StackConfig.model_json_schema()
    assert [undescribed(model) for model in (schema, *schema["$defs"].values())] == [[]] * (
        len(schema["$defs"]) + 1
    )


# Files that are none


def test_a_file_that_is_not_there(file: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_config(file)


def test_a_directory(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a directory"):
        load_config(tmp_path)


def test_a_path_the_system_refuses() -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(Path("a\0b"))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "is empty"),
        ("# only a comment\n", "is empty"),
        ("- a\n- b\n", "got a list"),
        ("just words\n", 'got "just words"'),
        ("FROM: scratch\n", "has no key of a stack file"),
        ("config:\n", "config: got null"),
        ("config: 3\n", "config: got 3"),
        ("environment: [a]\n", "config: missing"),
        ("a: [1\n", "line 2: not YAML"),
        ("config: {a: 1}\n---\nconfig: {}\n", "line 2: not YAML"),
        ("config: !!python/object:os.system {}\n", "line 1: not YAML"),
        ("config: {a: 2001-13-45}\n", "not YAML"),
        (b"\xff\xfe\x00", "is not UTF-8 text (byte 0)"),
        (b"a\0b", "not YAML"),
        ("[" * 1000, "nested too deeply"),
        ("#" * 300_000, "is larger than 256 KiB"),
    ],
)
def test_a_file_that_cannot_be_a_stack_file_gets_one_line(file: Path, text: str | bytes, line: str) -> None:
    (found,) = problems(file, text)
    assert line in found


def test_a_duplicate_key_is_named_with_its_line(file: Path) -> None:
    text = "config:\n  agent-datastores:fleet:\n    jobs: 1\n    slots: 1\n    jobs: 2\n"
    assert problems(file, text) == ['line 5: duplicate key "jobs"; accepted: each key once']


# Keys that are none


def test_unknown_keys_at_every_level_are_reported_together_with_the_nearest_known_one(file: Path) -> None:
    lines = problems(
        file,
        "encryptionsalz: x\n"
        "config:\n"
        "  fleet: {}\n"
        "  agent-datastore:fleet: {}\n"
        "  agent-datastores:redsi: {}\n"
        "  agent-datastores:fleet: {jobs: 8, slot: 4, max_call_seconds: 60, rolling: {mode: fast, surg: 1}}\n"
        "  agent-datastores:mongodb: {consumers: {api: {process: 1, connections: 1}}}\n",
    )
    text = "\n".join(lines)
    assert '"encryptionsalz": unknown key; did you mean encryptionsalt?' in text
    assert 'config."fleet": unknown key without a namespace; did you mean agent-datastores:fleet?' in text
    assert 'config."agent-datastore:fleet": did you mean agent-datastores:fleet?' in text
    assert "agent-datastores:redsi: unknown key; did you mean redis? accepted: fleet, mongodb, redis" in text
    assert "agent-datastores:fleet.slot: unknown key; did you mean slots?" in text
    assert "agent-datastores:fleet.slots: missing; accepted: a whole number from 1 to 1000" in text
    assert "agent-datastores:fleet.rolling.surg: unknown key; did you mean surge?" in text
    assert "agent-datastores:mongodb.consumers.api.process: unknown key; did you mean processes?" in text
    assert "agent-datastores:mongodb.consumers.api.processes: missing" in text
    assert len(lines) == 9


def test_a_missing_fleet(file: Path) -> None:
    (line,) = problems(file, "config:\n  other:key: 1\n")
    assert line == (
        "agent-datastores:fleet: missing; accepted: a mapping with at least jobs, slots, max_call_seconds"
    )


# Values that cannot be


NUMBER = "a whole number from 1 to 1000"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("two", '"two"'),
        ("2", '"2"'),
        (True, "true"),
        (None, "null"),
        (0, "0"),
        (-1, "-1"),
        (2.0, "2.0"),
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (10**10, "10000000000"),
        pytest.param(10**5000, "a number of thousands of digits", id="huge"),
        ([1], "a list"),
        ({}, "an empty mapping"),
        ({"a": 1}, "a mapping"),
        ("line\nbreak", r'"line\nbreak"'),
        ("\ud800", r'"\ud800"'),
    ],
)
def test_what_is_no_number_is_shown_with_what_is_accepted(value: object, shown: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_config(
            {"fleet": {"jobs": 1, "slots": 1, "max_call_seconds": 1}, "redis": {"pool": value}}, "test"
        )
    assert str(raised.value) == f"test: agent-datastores:redis.pool: got {shown}; accepted: {NUMBER}"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"fleet": 3}, "fleet: got 3; accepted: a mapping with at least jobs, slots, max_call_seconds"),
        (
            {"fleet.close_timeout_seconds": 10},
            "fleet.close_timeout_seconds: got 10; accepted: a whole number from 1 to 9",
        ),
        (
            {"fleet.rolling": {}},
            "fleet.rolling: got an empty mapping without mode; accepted: mode: fast or mode: strict",
        ),
        (
            {"fleet.rolling": {"mode": "slow"}},
            'fleet.rolling: got mode "slow"; accepted: mode: fast or mode: strict',
        ),
        ({"fleet.rolling": "fast"}, 'fleet.rolling: got "fast"; accepted: a mapping with at least mode'),
        (
            {"fleet.rolling": {"mode": "fast", "failure_spare": 1}},
            "fleet.rolling.failure_spare: belongs to mode: strict, not to the mode given here",
        ),
        (
            {"fleet.rolling": {"mode": "strict", "rollouts_per_grace_period": 1}},
            "fleet.rolling.rollouts_per_grace_period: belongs to mode: fast, not to the mode given here",
        ),
        ({"fleet.rolling": {"mode": "fast", "fast": 1}}, "fleet.rolling.fast: unknown key"),
        ({"[key]": 1}, "[key]: unknown key"),
        ({"redis.pool": "\x85\u2028"}, r'redis.pool: got "\x85\u2028"'),
        (
            {"fleet.platform": "gek"},
            'fleet.platform: got "gek"; accepted: one of cluster-autoscaler, gke, aks, eks, or no such key',
        ),
        ({"mongodb.monitoring": "push"}, 'mongodb.monitoring: got "push"; accepted: poll or stream'),
        (
            {"mongodb.limit": 3000},
            'mongodb.plan: got "atlas-m20"; accepted: plan or limit, not both: the limit of a plan is known',
        ),
        ({"mongodb.plan": "elasticache-node"}, "(elasticache-node is a plan for redis)"),
        ({"redis.plan": "atlas-m20"}, "(atlas-m20 is a plan for mongodb)"),
        ({"mongodb.plan": "atlas-m21"}, "for any other server give limit: instead"),
        ({"mongodb.plan": 20}, "mongodb.plan: got 20; accepted: a name"),
        ({"mongodb.cache_mib": 512}, "mongodb.cache_mib: got 512; accepted: no such key beside plan"),
        ({"redis.max_memory_mib": 512}, "redis.max_memory_mib: got 512; accepted: no such key beside plan"),
        ({"redis.sentinels": 3}, "redis.sentinels: got 3; accepted: 0 beside plan"),
        (
            {"redis.plan": None, "redis.cluster": {"shards": 3}},
            "redis.cluster: got a mapping; accepted: a Cluster beside plan or limit alone: charts/redis runs one",
        ),
        (
            {"redis.plan": None, "redis.limit": 9000, "redis.sentinels": 3, "redis.cluster": {"shards": 3}},
            "redis.cluster: got a mapping; accepted: no such key beside sentinels",
        ),
        ({"redis.cluster": {"shards": 0}}, "redis.cluster.shards: got 0"),
        (
            {"redis.sentinel_limit": 3},
            "redis.sentinel_limit: got 3; accepted: no such key while sentinels is 0",
        ),
        ({"mongodb.consumers": [1]}, "mongodb.consumers: got a list; accepted: a mapping of names"),
        (
            {"mongodb.consumers": {"API": {"processes": 1, "connections": 1}}},
            'mongodb.consumers.API: got the name "API"',
        ),
        (
            {"mongodb.consumers": {1: {"processes": 1, "connections": 1}}},
            "mongodb.consumers.1: got the name 1",
        ),
        (
            {"mongodb.consumers": {"api": 5}},
            "mongodb.consumers.api: got 5; accepted: a mapping with at least processes",
        ),
        (
            {"mongodb.pool": {"secure": "v1:ciphertext"}},
            "mongodb.pool: got a Pulumi secret; accepted: a whole number from 1 to 1000, in plain",
        ),
        ({"datastores": [1]}, "datastores: got a list; accepted: a mapping of names, each with limit, pool"),
        (
            {"datastores.Weaviate": {}},
            'datastores.Weaviate: got the name "Weaviate"; accepted: a name of lower',
        ),
        (
            {"datastores.mongodb": {}},
            'datastores.mongodb: got "mongodb"; accepted: no such name: mongodb has',
        ),
        (
            {"datastores.pg": {"plan": "x"}},
            'datastores.pg.plan: got "x"; accepted: no such key: no plans of pg are known',
        ),
        (
            {"datastores.pg": {"plans": "x"}},
            "datastores.pg.plans: unknown key; did you mean plan? accepted: limit",
        ),
        (
            {"datastores.pg.consumers": {"API": {"processes": 1, "connections": 1}}},
            'datastores.pg.consumers.API: got the name "API"',
        ),
        ({"fleet": {"secure": "v1:ciphertext"}}, "fleet: got a Pulumi secret; accepted: a mapping"),
    ],
)
def test_values_that_do_not_go_are_explained_in_one_line(changes: dict[str, Any], line: str) -> None:
    assert line in problem(changes)


def test_a_secret_is_never_shown() -> None:
    assert "ciphertext" not in problem({"mongodb.pool": {"secure": "v1:ciphertext"}})


# Overrides


def test_overrides_are_checked_as_if_they_stood_in_the_file() -> None:
    config = configured()
    assert apply_overrides(config, {"fleet.slots": 8}).fleet.slots == 8
    assert config.fleet.slots == 25
    assert apply_overrides(config, {"fleet.rolling.surge": 1}).fleet.rolling.surge == 1
    assert apply_overrides(config, {"mongodb.plan": None, "mongodb.limit": 700}).mongodb.limit == 700
    assert apply_overrides(config, {}) == config


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (
            {"fleet.slots": 0},
            "override: agent-datastores:fleet.slots: got 0; accepted: a whole number from 1 to 1000",
        ),
        ({"fleet.slots": "8"}, 'override: agent-datastores:fleet.slots: got "8"'),
        ({"fleet.slits": 8}, "override: agent-datastores:fleet.slits: unknown key; did you mean slots?"),
        ({"flet.slots": 8}, "override: agent-datastores:flet: unknown key; did you mean fleet?"),
        (
            {"fleet.slots.many": 8},
            "override: agent-datastores:fleet.slots.many: agent-datastores:fleet.slots holds no keys",
        ),
        ({"fleet.jobs": None}, "override: agent-datastores:fleet.jobs: missing"),
        ({"mongodb.limit": 3000}, "plan or limit, not both"),
        ({"": 1}, "unknown key"),
    ],
)
def test_a_bad_override_names_its_key(overrides: dict[str, object], line: str) -> None:
    with pytest.raises(ConfigError) as raised:
        apply_overrides(configured(), overrides)
    assert line in str(raised.value)


# Whatever comes: a config or a ConfigError

_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=5)
    | st.dates()
    | st.sampled_from(["fast", "strict", "poll", "atlas-m10", "elasticache-node", "secure"])
)
_KEYS = st.sampled_from(
    [
        "fleet",
        "mongodb",
        "redis",
        "jobs",
        "slots",
        "rolling",
        "mode",
        "consumers",
        "plan",
        "limit",
        "pool",
        "secure",
    ]
) | st.text(max_size=5)
_ANYTHING = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS | st.integers(), inner, max_size=4),
    max_leaves=15,
)


def refusal(load: Callable[[], StackConfig]) -> tuple[str, ...] | None:
    """The lines of the refusal; None when it loads. Any other exception is the failure looked for."""
    try:
        load()
    except ConfigError as error:
        return tuple(map(str, error.problems))
    return None


def check(load: Callable[[], StackConfig]) -> None:
    lines = refusal(load)
    if lines is not None:
        assert lines
        assert all(len(line.splitlines()) == 1 for line in lines)
        "".join(lines).encode()


@QUICK
@given(
    st.dictionaries(
        st.sampled_from(["fleet", "mongodb", "redis", "datastores"]) | _KEYS, _ANYTHING, max_size=4
    )
)
def test_no_value_gets_through_as_a_traceback(values: dict[str, Any]) -> None:
    check(lambda: parse_config(values, "test"))


@QUICK
@given(
    st.sampled_from(["fleet", "mongodb", "redis"]),
    st.sampled_from(["fleet", "mongodb", "redis"]),
    st.data(),
)
def test_no_single_wrong_value_gets_through_as_a_traceback(
    section: str, model: str, data: st.DataObject
) -> None:
    fields = sorted(StackConfig.model_fields[model].annotation.model_fields)  # type: ignore[union-attr]
    values: dict[str, Any] = {"fleet": {"jobs": 1, "slots": 1, "max_call_seconds": 1}}
    values.setdefault(section, {})[data.draw(st.sampled_from(fields))] = data.draw(_ANYTHING)
    check(lambda: parse_config(values, "test"))


def test_a_mapping_that_contains_itself_is_refused(file: Path) -> None:
    lines = problems(
        file, "config:\n  agent-datastores:fleet: &a\n    jobs: 1\n    rolling: *a\n    slots: *a\n"
    )
    assert any("fleet.slots: got a mapping" in line for line in lines)


@pytest.fixture(scope="module")
def any_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "Pulumi.any.yaml"


_YAML_PIECES = st.lists(
    st.sampled_from(
        [
            *(
                "config",
                "agent-datastores:fleet",
                "jobs",
                "slots",
                ": ",
                ":",
                "\n",
                "\n  ",
                "\n    ",
                "- ",
                "{",
                "}",
            ),
            *(
                "[",
                "]",
                ", ",
                "&a ",
                "*a",
                "!!int ",
                "!!set ",
                "!!omap ",
                "!!binary ",
                "!!timestamp ",
                "? ",
                "| ",
                "> ",
            ),
            *(
                "<<: ",
                '"',
                "'",
                "#",
                "%YAML 1.1\n",
                "---\n",
                "...",
                "1",
                "-1",
                ".nan",
                ".inf",
                "0x1F",
                "1_000",
                "1e9",
            ),
            *("2001-02-30", "yes", "null", "~", "\t", "\\", "@", "`", "é", "\ud7ff", "\u2028"),
        ]
    ),
    max_size=25,
).map("".join)


@QUICK
@given(text=_YAML_PIECES | st.text(max_size=60))
@example("config: {? {a: b} : c}")
@example("config: {agent-datastores:fleet: !!set {a, b}}")
@example("? [a, b]\n: c\n")
@example("<<: 3")
@example("!!timestamp x")
@example("!!binary é")
@example("!!int x")
@example("!!float x")
@example("!!bool x")
@example("!!null x")
@example("config: " + "9" * 5000)
def test_no_text_gets_through_as_a_traceback(any_file: Path, text: str) -> None:
    any_file.write_bytes(text.encode("utf-8", "surrogatepass"))
    check(lambda: load_config(any_file))
