"""MongoDB: the members themselves, or a mongos on each machine and the shards behind it."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from infra.datastores.kind import DatastoreKind, OwnServer, Sockets

MONGODB = DatastoreKind(
    name="mongodb",
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
    takes_plans=True,
    not_beside_plan=("mongodb.cache_mib", "mongodb.routers"),
)
# Under the same name: to a job it is MongoDB. No chart runs it, and providers keep theirs beside the shards.
MONGOS = replace(MONGODB, title="mongos on each machine", own_server=None, takes_plans=False)
MONGODB_SHARDS = DatastoreKind(
    name="mongodb_shards",
    title="MongoDB shards",
    section="mongodb",
    limit_key="mongodb.limit",
    url_variable=None,
    ports=(27018,),  # mongod --shardsvr
    dialled_by="routers",
    part_of="mongodb",
)
