"""MongoDB: the members themselves, or a mongos on each machine and the shards behind it."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from infra.datastores.kind import DatastoreKind, OwnServer, Sockets
from infra.datastores.plan import Family, Plan

NAME = "mongodb"

_ATLAS_SOURCE = "MongoDB Atlas, Service Limits: https://www.mongodb.com/docs/atlas/reference/atlas-limits/"

ATLAS = Family("Atlas", NAME, 10, "Atlas keeps 10 a node for its own services", _ATLAS_SOURCE)
# The Low-CPU class has other limits under the same size: an R40 accepts 4 000 where an M40 accepts 6 000.
ATLAS_LOW_CPU = Family("Atlas Low-CPU", NAME, 10, ATLAS.reserved_reason, _ATLAS_SOURCE)
DOCUMENTDB = Family(
    "DocumentDB serverless",
    NAME,
    0,
    "",
    "Amazon DocumentDB Developer Guide, serverless instance limits: "
    "https://docs.aws.amazon.com/documentdb/latest/developerguide/docdb-serverless-instance-limits.html",
)
_ATLAS_LIMITS = {
    "m0": 500,
    "m10": 1_500,
    "m20": 3_000,
    "m30": 3_000,
    "m40": 6_000,
    "m50": 16_000,
    "m60": 32_000,
    "m80": 96_000,
    "m140": 96_000,
    "m200": 128_000,
    "m300": 128_000,
}
_ATLAS_LOW_CPU_LIMITS = {
    "r40": 4_000,
    "r50": 16_000,
    "r60": 32_000,
    "r80": 64_000,
    "r140": 96_000,
    "r200": 128_000,
    "r300": 128_000,
    "r400": 128_000,
    "r700": 128_000,
}
# 1.5 DCU is left out: the page gives it 7 250, between 500 at 1 and 1 000 at 2, which can only be a slip.
_DOCUMENTDB_LIMITS = {
    "0.5": 250,
    "1": 500,
    "2": 1_000,
    "4": 2_000,
    "8": 4_000,
    "16": 8_000,
    "32": 16_000,
    "64": 32_000,
    "128": 60_000,
    "256": 60_000,
}
_ATLAS_NOTES = {
    "m0": "free tier: shared, for trials only",
    # Earlier copies of the page gave M80 64 000, and it has tables by cloud of which one was read.
    "m80": "read on the table for AWS; look up the one of your cloud",
}
ATLAS_PLANS = (
    *(
        Plan(f"atlas-{size}", ATLAS, limit, _ATLAS_NOTES.get(size, ""))
        for size, limit in _ATLAS_LIMITS.items()
    ),
    *(Plan(f"atlas-{size}", ATLAS_LOW_CPU, limit) for size, limit in _ATLAS_LOW_CPU_LIMITS.items()),
)
DOCUMENTDB_PLANS = tuple(
    Plan(
        f"documentdb-serverless-{dcu}",
        DOCUMENTDB,
        limit,
        f"the limit follows the capacity of the moment: set MinCapacity to {dcu} DCU",
    )
    for dcu, limit in _DOCUMENTDB_LIMITS.items()
)

MONGODB = DatastoreKind(
    name=NAME,
    title="MongoDB",
    section="mongodb",
    limit_key="mongodb.limit",
    url_variable="MONGODB_URL",
    ports=(27017,),
    # PyMongo 4.20; counted in the kernel.
    beside_pool=MappingProxyType(
        {"poll": Sockets(1, "polling monitor"), "stream": Sockets(2, "streaming monitor")}
    ),
    own_server=OwnServer(container="mongod", limit_setting="net.maxIncomingConnections"),
    plans=(*ATLAS_PLANS, *DOCUMENTDB_PLANS),
    not_beside_plan=("mongodb.cache_mib", "mongodb.routers"),
)
# Under the same name: to a job it is MongoDB. No chart runs it, and providers keep theirs beside the shards.
MONGOS = replace(MONGODB, title="mongos on each machine", own_server=None, plans=())
MONGODB_SHARDS = DatastoreKind(
    name="mongodb_shards",
    title="MongoDB shards",
    section="mongodb",
    limit_key="mongodb.limit",
    url_variable=None,
    ports=(27018,),  # mongod --shardsvr
    dialled_by="routers",
    part_of=NAME,
)

KINDS = (MONGODB, MONGODB_SHARDS)
