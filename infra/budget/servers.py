"""What a server of our own is given for so many connections."""

from __future__ import annotations

from infra.budget.arithmetic import ceil
from infra.budget.solution import MongoDBServer, RedisServer

# mongod takes about 1 MB, a thread and 2 descriptors for a connection. The base holds mongod itself and what it
# allocates beside the cache; the files are WiredTiger's (one a collection, one an index), the journal's and
# the diagnostics'.
MONGODB_CONNECTION_MIB = 1
MONGODB_BASE_MIB = 256
MONGODB_DESCRIPTORS_PER_CONNECTION = 2
MONGODB_FILES = 1024
# A Redis client: 16 KiB reply buffer, up to 32 KiB query buffer, its structure, the kernel's socket: 64 KiB
# at most. The base holds redis-server itself; a server that forks to save needs max_memory_mib once more.
REDIS_CONNECTIONS_PER_MIB = 16
REDIS_BASE_MIB = 64
# What it keeps for itself of them (redis.conf, maxclients).
REDIS_OWN_DESCRIPTORS = 32


def mongodb_server(cache_mib: int, connections: int) -> MongoDBServer:
    """A mongod for so many connections."""
    return MongoDBServer(
        max_incoming_connections=connections,
        cache_mib=cache_mib,
        cache_gib=cache_mib / 1024,
        memory_mib=cache_mib + MONGODB_BASE_MIB + MONGODB_CONNECTION_MIB * connections,
        file_descriptors=MONGODB_DESCRIPTORS_PER_CONNECTION * connections + MONGODB_FILES,
    )


def redis_server(max_memory_mib: int, connections: int) -> RedisServer:
    """A Redis for so many connections."""
    memory = max_memory_mib + REDIS_BASE_MIB + ceil(connections, REDIS_CONNECTIONS_PER_MIB)
    return RedisServer(
        maxclients=connections,
        max_memory_mib=max_memory_mib,
        memory_mib=memory,
        memory_saving_mib=memory + max_memory_mib,
        file_descriptors=connections + REDIS_OWN_DESCRIPTORS,
    )
