"""`python -m infra.scale`: a door; the page is the report's."""

from __future__ import annotations

from infra.report.scale import write

if __name__ == "__main__":
    write()
