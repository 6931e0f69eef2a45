"""URLs as secrets: read by a strict form before any driver sees them, and never repeated.

A driver that misreads a URL takes a part of the password for a host, a port or an option, and names it in what it
raises. So whatever does not have the form is refused here, without a word of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from agent.runtime.errors import SettingsError

_HOST = r"(?:[\w.%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
# No reserved character but those that separate: a password with one of them would be cut there.
_FORM = re.compile(
    r"(?P<scheme>[a-z+]+)://"
    r"(?:(?P<user>[^:@/?#\[\]\s]*)(?::(?P<password>[^@/?#\[\]\s]*))?@)?"
    rf"(?P<hosts>{_HOST}(?:,{_HOST})*)?"
    r"(?:/(?P<path>[^?#@\s]*))?"
    r"(?:\?(?P<query>[^?#@\s]*))?"
)


@dataclass(frozen=True)
class URL:
    """The parts of a URL, percent-encoded as they were."""

    has_user: bool
    path: str
    query: str


def read(variable: str, url: str, accepted: str, *, may_lack_host: bool = False) -> URL:
    """
    Raises:
        SettingsError: it does not have the form `accepted`; neither the message nor a cause repeats any of it.
    """
    found = _FORM.fullmatch(url)
    if found is None or not (found["hosts"] or may_lack_host):
        refuse(variable, f"it cannot be read; accepted: {accepted}, what is reserved percent-encoded")
    return URL(found["user"] is not None, found["path"] or "", found["query"] or "")


def read_nodes(variable: str, text: str) -> list[str]:
    """The URLs of a search engine's nodes, which are separated by commas.

    Raises:
        SettingsError: one of them cannot be read, or has options, which the clients would pass over.
    """
    accepted = "http[s]://[user:password@]host[:port][/path], several separated by commas"
    urls = [url.strip() for url in text.split(",")]
    for url in urls:
        if read(variable, url, accepted).query:
            refuse(variable, f"it has options; accepted: {accepted}, what is reserved percent-encoded")
    return urls


def refuse(variable: str, why: str) -> NoReturn:
    raise SettingsError(f"environment: {variable}=(hidden): {why}") from None


@dataclass(frozen=True)
class Option:
    """One option that the runtime gives a driver, so that a URL may not say otherwise.

    Args:
        value: what the driver is given, in the driver's unit.
        set_by: what sets it instead, for the refusal.
        at_most: a URL may set it, above 0 and up to this (`bound` says whose that is).
    """

    value: Any
    set_by: str
    at_most: float | None = None
    bound: str = ""


def obey(
    variable: str,
    options: Mapping[str, Option],
    wished: Mapping[str, Any],
    as_read: Callable[[str, Any], Any] = lambda _, value: value,
) -> dict[str, Any]:
    """The driver's keyword arguments: what the runtime sets, with the URL's wishes where they are within its times.

    Args:
        wished: what the URL's query says, as the driver reads it.
        as_read: a value of `options` as the driver would read it from a URL.

    Raises:
        SettingsError: the URL contradicts an option; names it, what was given, what is accepted and what sets it.
    """
    obeyed = {name: option.value for name, option in options.items()}
    for name, value in wished.items():
        option = options.get(name)
        if option is None or value == as_read(name, option.value):
            continue
        if option.at_most is None:
            said = f"{option.value}, or " if isinstance(option.value, bool | int | float | str) else ""
            accepted = f"{said}a URL without it"
            refuse(variable, f"its {name} would override {option.set_by}; accepted: {accepted}")
        if not isinstance(value, int | float) or not 0 < value <= as_read(name, option.at_most):
            refuse(
                variable, f"its {name} is not above 0 and up to {option.at_most:g}, which is {option.bound}"
            )
        obeyed.pop(name)  # the URL's own
    return obeyed


def check_files(variable: str, named: Iterable[tuple[str, str]]) -> None:
    """
    Raises:
        SettingsError: one of these `(option, path)` cannot be read.
    """
    for option, path in named:
        try:
            if not Path(path).is_dir():
                Path(path).open("rb").close()
        except OSError as error:
            refuse(variable, f"its {option}={path!r}: {error.strerror}")
