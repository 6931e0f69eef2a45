"""A Pulumi stack of our own, in one directory: file backend, passphrase and secrets from the system's randomness."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.config.problems import NAMESPACE
from infra.supply.places import ROOT

PROGRAM = ROOT / "infra"
SECRETS = tuple(
    f"agent-secrets:{key}"
    for key in (
        "livekit-api-key",
        "livekit-api-secret",
        "mongodb-app-password",
        "mongodb-operator-password",
        "redis-app-password",
        "redis-operator-password",
    )
)
CONFIGURED = ("config", "preview", "up", "refresh", "destroy")


@dataclass(frozen=True)
class Answer:
    """What a command of the engine said, on both its outputs."""

    status: int
    text: str


@dataclass(frozen=True)
class PulumiStack:
    """A stack of the program in infra/. Nothing of it outlives its directory."""

    directory: Path
    name: str
    """No example's: `pulumi stack init` writes into the file of that name."""
    environment: Mapping[str, str]
    """Where the engine finds itself, its plugins and the cluster."""
    pack: Path
    """The policy pack."""
    program: Path = PROGRAM

    def configure(self, values: Mapping[str, Any]) -> None:
        """The config, whole: what it held before is gone, secrets stay. Makes the stack when there is none."""
        (self.directory / "state").mkdir(parents=True, exist_ok=True)
        passphrase = self.directory / "passphrase"
        if not passphrase.exists():
            passphrase.touch(mode=0o600)
            passphrase.write_text(secrets.token_hex(16))
            self.run("stack", "init", self.name)
            # It leaves a salt in the program's folder; this stack's file is elsewhere.
            Path(self.program, f"Pulumi.{self.name}.yaml").unlink(missing_ok=True)
            for key in SECRETS:
                self.run("config", "set", "--secret", key, text=secrets.token_hex(16))
        known = json.loads(self.run("config", "--json", "--show-secrets=false").text or "{}")
        for key in known:
            if key.startswith(f"{NAMESPACE}:"):
                self.run("config", "rm", key)
        for section, content in values.items():
            self.run("config", "set", "--plaintext", f"{NAMESPACE}:{section}", json.dumps(content))

    def preview(self, *options: str) -> Answer:
        return self.run("preview", "--diff", "--policy-pack", str(self.pack), *options)

    def up(self, *options: str, show: bool = False) -> Answer:
        options = ("--yes", "--skip-preview", "--policy-pack", str(self.pack), *options)
        return self.run("up", *options, show=show)

    def run(self, *command: str, text: str | None = None, show: bool = False) -> Answer:
        """`pulumi COMMAND` in the program's folder, with this stack's config.

        Args:
            show: on the terminal, instead of in the answer.
        """
        with self.start(*command, show=show) as running:
            said, _ = running.communicate(text)
        return Answer(running.returncode, said or "")

    def start(self, *command: str, show: bool = False) -> subprocess.Popen[str]:
        """The same, not waited for."""
        file = ["--config-file", str(self.directory / f"Pulumi.{self.name}.yaml")]
        stack = [] if command[:2] == ("stack", "init") else ["--stack", self.name]
        own = {
            "PULUMI_BACKEND_URL": f"file://{self.directory / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(self.directory / "passphrase"),
        }
        return subprocess.Popen(
            ["pulumi", *command, *stack, *(file if command[0] in CONFIGURED else []), "--non-interactive"],  # noqa: S607
            cwd=self.program,
            env=os.environ | self.environment | own,
            stdin=subprocess.PIPE,
            stdout=None if show else subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
