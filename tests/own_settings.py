"""A place on the real servers that nobody else uses."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from infra.local.servers import Servers
from services.base.settings import Settings


@contextmanager
def own_settings(servers: Servers, template: str) -> Iterator[Settings]:
    """Settings with a copy of the database `template` and a bucket of its own, not made yet; both are
    dropped afterwards.
    """
    name = f"test_{uuid.uuid4().hex[:12]}"
    servers.postgres.administer(f"CREATE DATABASE {name} TEMPLATE {template}")
    endpoints = servers.endpoints
    yield Settings(
        database_url=servers.postgres.url_of(name),
        broker_url=endpoints.broker_url,
        s3_endpoint_url=endpoints.s3_endpoint_url,
        s3_access_key=endpoints.s3_access_key,
        s3_secret_key=endpoints.s3_secret_key,
        s3_bucket=name.replace("_", "-"),
        log_format="console",
    )
    servers.start()  # killed meanwhile, perhaps; does nothing to what runs
    # FORCE: a worker that a test has killed may have left its connection.
    servers.postgres.administer(f"DROP DATABASE {name} WITH (FORCE)")
    servers.seaweedfs.drop_bucket(name.replace("_", "-"))
