"""`python -m infra.adopt`: a door; what it does is the stack's."""

from __future__ import annotations

from infra.stack.adopt import main

if __name__ == "__main__":
    raise SystemExit(main())
