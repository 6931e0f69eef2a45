"""The agent's image as its Dockerfile says it; building it needs a container runtime and is tests/cluster's."""

from __future__ import annotations

import re

from infra.supply.places import ROOT

DOCKERFILE = (ROOT / "docker/agent/Dockerfile").read_text()
INSTRUCTIONS = re.sub(r"(?m)^\s*#.*$", "", DOCKERFILE).replace("\\\n", " ")
LAST_STAGE = INSTRUCTIONS[INSTRUCTIONS.rindex("\nFROM ") :]


def test_the_same_uv_locks_and_installs() -> None:
    (pinned,) = re.findall(r"^UV_VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert f"ARG UV_VERSION={pinned}\n" in DOCKERFILE


def test_the_classic_builder_understands_it() -> None:
    assert not re.search(r"--mount|--chmod|--link|<<|^# syntax", DOCKERFILE, re.MULTILINE)


def test_it_runs_as_a_number_and_holds_what_was_built_and_no_builder() -> None:
    (user,) = re.findall(r"^USER (\S+)$", LAST_STAGE, re.MULTILINE)
    assert re.fullmatch(r"[1-9][0-9]{4,}:[1-9][0-9]{4,}", user)
    assert set(re.findall(r"^COPY (.+)$", LAST_STAGE, re.MULTILINE)) == {
        "--from=build /opt /opt",
        "--from=build /app /app",
    }
    assert not re.search(r"\b(pip|uv|gcc|apt-get)\b", LAST_STAGE)


def test_only_what_is_named_gets_into_a_build() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule for rule in rules if rule.startswith("!")} == {
        "!agent",
        "!docker/agent",
        "!pyproject.toml",
        "!uv.lock",
    }
    # The last rule that matches wins, so these come after what is let in.
    assert rules[-5:] == ["**/__pycache__", "**/.*", "agent/**/*.env", "agent/**/*.key", "agent/**/*.pem"]
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", INSTRUCTIONS, re.MULTILINE)
    assert {source for line in copied for source in line.split()} == {
        "${CA_BUNDLE}",
        "pyproject.toml",
        "uv.lock",
        "agent",
    }


def test_no_authority_is_there_unless_it_is_given() -> None:
    assert (ROOT / "docker/agent/no-ca.pem").read_bytes() == b""
    assert "ca.pem" not in LAST_STAGE


def test_the_base_and_the_authorities_are_arguments_and_no_platform_is_named() -> None:
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)$", INSTRUCTIONS, re.MULTILINE))
    assert {"BASE", "CA_BUNDLE", "UV_VERSION", "VERSION", "REVISION", "SOURCE"} == arguments.keys()
    stages = re.findall(r"^FROM (.+)$", INSTRUCTIONS, re.MULTILINE)
    assert stages == ["${BASE} AS base", "base AS build", "base"]
    assert not re.search(r"amd64|x86_64|arm64|aarch64|--platform", INSTRUCTIONS)


def test_what_is_installed_is_the_lock_file_and_is_listed() -> None:
    (sync,) = re.findall(r"uv sync ([^&]+)", INSTRUCTIONS)
    (export,) = re.findall(r"uv export ([^&]+)", INSTRUCTIONS)
    for options in (sync, export):
        assert {"--frozen", "--only-group", "agent"} <= set(options.split())
    # The root is read-only when it runs.
    assert "--compile-bytecode" in sync
    assert "cyclonedx1.5" in export
    (listed,) = re.findall(r"--output-file (\S+)", export)
    assert listed.startswith("/opt/")


def test_it_says_what_it_is() -> None:
    labels = set(re.findall(r"org\.opencontainers\.image\.(\w+)=", LAST_STAGE))
    assert labels == {"title", "description", "licenses", "version", "revision", "source"}
