"""Reads a Pulumi stack file: the keys that are ours, and what is wrong with the file around them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from infra.config.problems import NAMESPACE, ConfigError, Problem, did_you_mean, shown

PULUMI_KEYS = ("config", "encryptionsalt", "encryptedkey", "environment", "secretsprovider")
"""What a stack file may hold at the top (Pulumi docs, Stack settings file reference)."""

_SECTIONS = ("fleet", "mongodb", "redis", "datastores", "deployment")
_ACCEPTED = f"accepted: a mapping with config: and in it {NAMESPACE}:fleet"
# A stack file is written by hand; what is larger than this was named by mistake.
_LARGEST_BYTES = 262_144


def read_stack_file(path: Path) -> tuple[dict[str, object], list[Problem]]:
    """The values under our namespace by their short key (`fleet`), and the problems found on the way to them.

    Raises:
        ConfigError: the file cannot be read, or is no YAML mapping; nothing can be said about its keys then.
    """
    document = _parse(_read(path), str(path))
    source = str(path)
    problems = [
        Problem(source, shown(key), f"unknown key; {did_you_mean(str(key), PULUMI_KEYS)}")
        for key in document
        if key not in PULUMI_KEYS
    ]
    config = document.get("config")
    if not isinstance(config, Mapping):
        given = "missing" if "config" not in document else f"got {shown(config)}"
        problems.append(
            Problem(source, "config", f"{given}; accepted: a mapping with {NAMESPACE}:fleet in it")
        )
        raise ConfigError(problems)
    ours: dict[str, object] = {}
    for key, value in config.items():
        namespace, colon, name = str(key).partition(":")
        if namespace == NAMESPACE and colon:
            ours[name] = value
        elif not colon:
            known = f"; did you mean {NAMESPACE}:{key}?" if key in _SECTIONS else ""
            problems.append(
                Problem(source, f"config.{shown(key)}", f"unknown key without a namespace{known}")
            )
        elif name.split(".")[0] in _SECTIONS and "datastore" in namespace:
            # Other namespaces are none of our business, but this one is a slip that would go unseen.
            problems.append(Problem(source, f"config.{shown(key)}", f"did you mean {NAMESPACE}:{name}?"))
    return ours, problems


def _read(path: Path) -> str:
    source = str(path)
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError([Problem(source, "", "no such file; accepted: a Pulumi stack file")]) from None
    except IsADirectoryError:
        text = "is a directory; accepted: a stack file in it, such as Pulumi.local.yaml"
        raise ConfigError([Problem(source, "", text)]) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError([Problem(source, "", f"cannot be read: {reason}")]) from None
    if len(data) > _LARGEST_BYTES:
        raise ConfigError([Problem(source, "", "is larger than 256 KiB; accepted: a Pulumi stack file")])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError([Problem(source, "", f"is not UTF-8 text (byte {error.start})")]) from None


def _parse(text: str, source: str) -> Mapping[object, object]:
    try:
        document = YAML(typ="safe", pure=True).load(text)
    except DuplicateKeyError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        what = str(error.problem).split(" with value")[0].replace("found duplicate key", "duplicate key")
        raise ConfigError([Problem(source, "", f"line {line}: {what}; accepted: each key once")]) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        what = " ".join(str(error.problem or error.context or "cannot be parsed").split())
        raise ConfigError([Problem(source, "", f"{where}not YAML: {what}")]) from None
    except RecursionError:
        raise ConfigError([Problem(source, "", "not YAML we read: nested too deeply")]) from None
    except (YAMLError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # The parser lets some malformed values (a 13th month, a NUL, an unhashable key) through as plain
        # errors.
        what = " ".join(str(error).split())[:120] or type(error).__name__
        raise ConfigError([Problem(source, "", f"not YAML: {what}")]) from None
    if document is None:
        raise ConfigError([Problem(source, "", f"is empty; {_ACCEPTED}")])
    if not isinstance(document, Mapping):
        raise ConfigError([Problem(source, "", f"got {shown(document)}; {_ACCEPTED}")])
    if not any(key in document for key in PULUMI_KEYS):
        # Some other file: its keys are nobody's business, and may not be for the terminal either.
        raise ConfigError([Problem(source, "", f"has no key of a stack file; {_ACCEPTED}")])
    return document
