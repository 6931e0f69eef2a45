"""`python -m infra.budget`: a door; the command line is the report's."""

from __future__ import annotations

from infra.report.command import main

raise SystemExit(main())
