"""Four managers as an application may have them already: two close asynchronously, two do not."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

import weaviate
from elasticsearch import Elasticsearch
from pymongo import AsyncMongoClient
from redis.asyncio import Redis
from weaviate.classes.init import Auth


class MongoManager:
    def configure(self) -> None:
        self.url = os.environ["MONGODB_URL"]

    async def setup(self) -> None:
        self.client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(self.url)
        await self.client.admin.command("ping")

    async def answers(self) -> bool:
        return bool((await self.client.admin.command("ping"))["ok"])

    async def close_connection(self) -> None:
        await self.client.close()


class RedisManager:
    async def setup(self) -> None:
        self.client = Redis.from_url(os.environ["REDIS_URL"])
        await self.client.ping()

    async def answers(self) -> bool:
        return bool(await self.client.ping())

    async def close_connection(self) -> None:
        await self.client.aclose()


class WeaviateManager:
    def setup(self) -> None:
        http, grpc = urlsplit(os.environ["WEAVIATE_URL"]), urlsplit(os.environ["WEAVIATE_GRPC_URL"])
        self.client = weaviate.connect_to_custom(
            http_host=str(http.hostname),
            http_port=http.port or 80,
            http_secure=False,
            grpc_host=str(grpc.hostname),
            grpc_port=grpc.port or 80,
            grpc_secure=False,
            auth_credentials=Auth.api_key(os.environ["WEAVIATE_API_KEY"]),
            skip_init_checks=True,
        )

    def answers(self) -> bool:
        return self.client.is_ready()

    def close_connection(self) -> None:
        self.client.close()


class ElasticsearchManager:
    def setup(self) -> None:
        self.client = Elasticsearch(os.environ["ELASTICSEARCH_URL"])
        self.client.info()

    def answers(self) -> bool:
        return self.client.ping()

    def close_connection(self) -> None:
        self.client.close()
