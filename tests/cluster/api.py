"""The cluster's API server, asked directly: its warnings and what a dry run makes are part of the answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from kubernetes import config as kubernetes_config

MANAGER = "agent-datastores"
SECONDS = 30

Object = dict[str, Any]


class ApiError(Exception):
    """The API server said no; its own words."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        super().__init__(text)


@dataclass(frozen=True)
class Applied:
    """What the server made of an object, and what it warned of."""

    live: Object
    warnings: tuple[str, ...]


class Api:
    """One API server. `close` ends its connections."""

    def __init__(self, kubeconfig: Path) -> None:
        self._client = kubernetes_config.new_client_from_config(str(kubeconfig), persist_config=False)
        self._plurals: dict[str, dict[str, tuple[str, bool]]] = {}

    def close(self) -> None:
        """Ends the connections."""
        self._client.close()

    def path(self, api_version: str, kind: str, namespace: str | None, name: str) -> str:
        """The path of an object. Raises ApiError when the server does not know the kind."""
        base = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
        if kind not in self._plurals.get(api_version, {}):
            resources = self.request("GET", base)[0]["resources"]
            self._plurals[api_version] = {
                one["kind"]: (one["name"], one["namespaced"]) for one in resources if "/" not in one["name"]
            }
        if kind not in self._plurals[api_version]:
            raise ApiError(404, f"no matches for kind {kind!r} in version {api_version!r}")
        plural, namespaced = self._plurals[api_version][kind]
        where = f"/namespaces/{namespace or 'default'}" if namespaced else ""
        return f"{base}{where}/{plural}/{name}"

    def path_of(self, item: Object) -> str:
        """The path of an object that is given whole."""
        metadata = item["metadata"]
        return self.path(item["apiVersion"], item["kind"], metadata.get("namespace"), metadata["name"])

    def apply(self, item: Object, *, dry_run: bool = False) -> Applied:
        """Server-side apply, conflicts forced, unknown fields refused. Raises ApiError."""
        query = {"fieldManager": MANAGER, "force": "true", "fieldValidation": "Strict"}
        query |= {"dryRun": "All"} if dry_run else {}
        live, warnings = self.request(
            "PATCH", self.path_of(item), query=query, body=item, content="application/apply-patch+yaml"
        )
        return Applied(live, warnings)

    def delete(self, path: str) -> None:
        """Deletes in the background; done already is no error."""
        try:
            self.request("DELETE", path, body={"propagationPolicy": "Background"})
        except ApiError as error:
            if error.status != 404:
                raise

    def request(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: Object | None = None,
        content: str = "application/json",
    ) -> tuple[Object, tuple[str, ...]]:
        """One request; the answer and its warnings. Raises ApiError."""
        headers = {"Accept": "application/json", "Content-Type": content}
        for setting in self._client.configuration.auth_settings().values():
            headers[setting["key"]] = setting["value"]
        url = self._client.configuration.host + path + (f"?{urlencode(query)}" if query else "")
        response = self._client.rest_client.pool_manager.request(
            method, url, headers=headers, body=json.dumps(body) if body else None, timeout=SECONDS
        )
        answer = json.loads(response.data or b"{}")
        if response.status >= 400:
            raise ApiError(response.status, answer.get("message", response.data.decode(errors="replace")))
        return answer, tuple(response.headers.getlist("Warning"))
