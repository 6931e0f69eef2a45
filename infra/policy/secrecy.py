"""No secret in clear: not in state, not in a ConfigMap, not in a variable, not in an argument."""

from __future__ import annotations

import re
from collections.abc import Iterator

from infra.policy.objects import Item, containers, environment, texts
from infra.policy.rules import Expected, ItemRule

# user:password@ in an address.
CREDENTIALS = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@$]*:[^/\s@$]+@", re.IGNORECASE)
SECRET_NAME = re.compile(r"(PASSWORD|SECRET|TOKEN|API_KEY|PRIVATE_KEY|CREDENTIALS)$")
# An address with a pool of its own would win over the budget's.
POOL_OPTION = re.compile(r"[?&](maxPoolSize|minPoolSize|maxConnecting|max_connections)=", re.IGNORECASE)


def addresses(item: Item, expected: Expected) -> Iterator[str]:  # noqa: ARG001
    """No address with a password, in anything but a Secret; and none that sets a pool of its own."""
    if item.get("kind") in ("Secret", "SealedSecret"):
        return
    for path, text in texts(item):
        if CREDENTIALS.search(text):
            yield f"{path} holds an address with a password: put it into a Secret and name that"
        if POOL_OPTION.search(text):
            yield f"{path} holds an address that sets a pool of its own: the budget's pool is the only one"


def variables(item: Item, expected: Expected) -> Iterator[str]:  # noqa: ARG001
    """No variable that is named like a secret and stands in plain."""
    for container in containers(item):
        for variable, value in environment(container).items():
            # $(OTHER) is expanded by the kubelet from another variable.
            if value and SECRET_NAME.search(variable) and not value.startswith("$("):
                yield f"{variable} stands in plain: take it from a Secret (valueFrom.secretKeyRef)"


ITEM_RULES = (
    ItemRule("no-password-in-addresses", "Addresses with passwords are in Secrets.", addresses),
    ItemRule("no-plain-variables", "Variables named like secrets come from Secrets.", variables),
)
