"""The policy pack: `pulumi up --policy-pack policy`, which `make kind-up` does. Pulumi runs this file by its folder."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[2])

from pulumi_policy import PolicyPack

from infra.policy.pack import policies

PolicyPack(name="agent-datastores", policies=policies())
