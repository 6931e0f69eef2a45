"""PostgreSQL: nothing beside the pool, for a cancel request takes no place of max_connections (asyncpg 0.32, measured).

Of a plan's connections those are taken off that are kept for a superuser, who on a managed server is the provider's.
"""

from __future__ import annotations

from infra.datastores.kind import further
from infra.datastores.plan import Family, Plan

NAME = "postgresql"

NEON = Family(
    "Neon",
    NAME,
    7,
    "Neon keeps 7 for its superuser",
    "Neon, Connection pooling: https://neon.com/docs/connect/connection-pooling",
    "2026-11-30",
)
SUPABASE = Family(
    "Supabase",
    NAME,
    3,
    "superuser_reserved_connections, PostgreSQL's default; the superuser is Supabase's",
    "Supabase, Compute add-ons: https://supabase.com/docs/guides/platform/compute-add-ons",
    "2026-11-30",
)
# From 9 compute units on it is 4 000; by units of a fixed size.
_NEON_LIMITS = {
    "0.25": 104,
    "0.5": 209,
    "1": 419,
    "2": 839,
    "3": 1_258,
    "4": 1_678,
    "5": 2_098,
    "6": 2_517,
    "7": 2_937,
    "8": 3_357,
    "9": 4_000,
}
_SUPABASE_LIMITS = {
    "micro": 60,
    "small": 90,
    "medium": 120,
    "large": 160,
    "xl": 240,
    "2xl": 380,
    "4xl": 480,
    "8xl": 490,
    "12xl": 500,
    "16xl": 500,
}
_NEON_NOTE = (
    "of a compute whose size is fixed, dialled directly; with autoscaling, give what SHOW max_connections says as "
    "datastores.postgresql.limit"
)
_SUPABASE_NOTE = (
    "of the direct connection, which Supabase's own services and poolers share: each that you use is one of the "
    "consumers (SELECT usename, count(*) FROM pg_stat_activity GROUP BY usename)"
)
PLANS = (
    *(Plan(f"neon-{units}", NEON, limit, _NEON_NOTE) for units, limit in _NEON_LIMITS.items()),
    *(Plan(f"supabase-{size}", SUPABASE, limit, _SUPABASE_NOTE) for size, limit in _SUPABASE_LIMITS.items()),
)

KINDS = (further(NAME, "PostgreSQL", ports=(5432,), plans=PLANS),)
