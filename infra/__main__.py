"""The door of the Pulumi program, which is infra/stack/program.py: `pulumi up` in this folder, or `make kind-up`.

It stays here, and Pulumi.yaml has no `main:`: Pulumi runs a program in the folder of its `main`, and charts are named
relative to that folder in the state of every stack.
"""

from __future__ import annotations

import sys
from pathlib import Path

# Pulumi runs this file by its folder; the project is the folder above, and this one's modules belong to `infra`.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from infra.stack.program import main

main()
