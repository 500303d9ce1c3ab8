"""A place on the real servers that nobody else uses."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from infra.local.endpoints import Endpoints
from infra.local.servers import Servers
from services.base.settings import Settings

_free_brokers = list(range(1, 16))
"""Numbers of Valkey's databases (0..15) that nobody has. 0 is for those who look at the server itself."""


@contextmanager
def own_settings(servers: Servers, template: str) -> Iterator[Settings]:
    """Settings with a copy of the database `template`, a bucket of its own, not made yet, and an empty
    broker, where no worker of another place takes what is sent; all are dropped afterwards.
    """
    servers.start()  # killed by the test before, perhaps; does nothing to what runs
    name = f"test_{uuid.uuid4().hex[:12]}"
    servers.postgres.administer(f"CREATE DATABASE {name} TEMPLATE {template}")
    endpoints = servers.endpoints
    broker = _free_brokers.pop(0)
    broker_url = f"{endpoints.broker_url.removesuffix('/0')}/{broker}"
    with redis.Redis.from_url(broker_url) as client:
        client.flushdb()
    yield Settings(
        database_url=servers.postgres.url_of(name),
        broker_url=broker_url,
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
    # Last in the row: whoever still listens there, on its way out, is not met at once by the next one.
    _free_brokers.append(broker)


def own_variables(endpoints: Endpoints, settings: Settings) -> dict[str, str]:
    """The same place as variables, for processes of ours that a test starts on the servers at `endpoints`."""
    return {
        **endpoints.environment(),
        "IMAGO_DATABASE_URL": settings.database_url,
        "IMAGO_BROKER_URL": settings.broker_url,
        "IMAGO_S3_BUCKET": settings.s3_bucket,
        "IMAGO_LOG_FORMAT": settings.log_format,
    }
