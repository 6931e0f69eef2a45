"""The real Pulumi engine on a stack of a test's own: file backend, generated secrets, the stand-in for the plugin."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.local.pulumi_engine import engine_directory, environment, policy_pack
from tests.infra.stack import PROGRAM, ROOT, SECRETS

STAND_IN = ROOT / "tests" / "infra" / "provider"


@dataclass(frozen=True)
class Answer:
    """What a command of the engine said."""

    status: int
    text: str


@dataclass(frozen=True)
class Stack:
    """A stack whose state and config live in a directory; nothing of it outlives that."""

    directory: Path
    name: str
    kubeconfig: Path

    def write(self, values: Mapping[str, Any]) -> None:
        """The stack file, secrets encrypted with a passphrase of this stack's."""
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "state").mkdir(exist_ok=True)
        passphrase = self.directory / "passphrase"
        if not passphrase.exists():
            passphrase.write_text(secrets.token_hex(16))
            self.run("stack", "init", self.name)
            # It leaves a salt in the program's folder; this stack's file is elsewhere.
            Path(PROGRAM, f"Pulumi.{self.name}.yaml").unlink(missing_ok=True)
            for key in SECRETS:
                self.run("config", "set", "--secret", key, text=secrets.token_hex(16))
        known = json.loads(self.run("config", "--json", "--show-secrets=false").text or "{}")
        for key in known:
            if key.startswith("agent-datastores:"):
                self.run("config", "rm", key)
        for section, content in values.items():
            self.run("config", "set", "--plaintext", f"agent-datastores:{section}", json.dumps(content))

    def preview(self, *options: str) -> Answer:
        return self.run("preview", "--diff", *self._policy(), *options)

    def up(self, *options: str) -> Answer:
        return self.run("up", "--yes", "--skip-preview", *self._policy(), *options)

    def _policy(self) -> tuple[str, str]:
        pack = policy_pack(ROOT / "infra" / "policy", ROOT / ".venv", self.directory / "policy")
        return "--policy-pack", str(pack)

    def run(self, *command: str, text: str | None = None) -> Answer:
        """`pulumi COMMAND` in infra/, with this stack's config file."""
        own = environment(engine_directory(), Path(sys.executable))
        own |= {
            "PATH": os.pathsep.join([str(STAND_IN), own["PATH"]]),
            "PULUMI_HOME": str(self.directory / "home"),
            "PULUMI_BACKEND_URL": f"file://{self.directory / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(self.directory / "passphrase"),
            "KUBECONFIG": str(self.kubeconfig),
        }
        file = ["--config-file", str(self.directory / f"Pulumi.{self.name}.yaml")]
        stack = [] if command[:2] == ("stack", "init") else ["--stack", self.name]
        done = subprocess.run(
            ["pulumi", *command, *stack, *(file if command[0] in CONFIGURED else []), "--non-interactive"],
            cwd=PROGRAM,
            env=os.environ | own,
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        with (self.directory / "said.txt").open("a") as log:
            log.write(f"\n$ pulumi {' '.join(command)}\n{done.stdout}")
        return Answer(done.returncode, done.stdout)


CONFIGURED = ("config", "preview", "up", "refresh", "destroy")
