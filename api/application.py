"""The application: its resources, pages and checks put together."""

import threading

from flask import Flask

from api import auth, discovery, resources
from api.aside import Aside
from api.context import Context, install
from api.http import addresses, request_body, request_log, response_headers
from api.memory import Memory
from api.monitoring import health
from api.monitoring.prometheus import Metrics
from api.problems import problems
from api.web import pages
from services.base.broker import Doorbell
from services.base.database import Database
from services.base.settings import Settings
from services.base.storage import ObjectStore

_ORDERS_BYTES = 32 << 20
"""Four a unit: some dozens of orders of the largest layers that are ordered."""


def build() -> Flask:
    """The application without the servers that it needs: enough to describe it, not to answer."""
    app = Flask(__name__, static_folder=None)
    # Else `//v1/jobs` is redirected, in HTML, to an address made of what the client calls this host.
    app.url_map.merge_slashes = False
    # The order is that of the checks: name the request, know who asks, see that its body can be read.
    request_log.register(app)
    auth.register(app)
    addresses.register(app)
    request_body.register(app)
    response_headers.register(app)
    problems.register(app)
    for blueprint in (*resources.ALL, discovery.blueprint, health.blueprint, pages.blueprint):
        app.register_blueprint(blueprint)
    auth.assert_every_resource_declares(app)
    return app


def create_app(settings: Settings, *, threads: int = 16, memory: int = 0) -> Flask:
    """The application. Connects when first asked, so that it starts while the servers do.

    `threads`: how many requests the server handles at the same time. Each may need a connection, and half of
    them at most may wait for a job, so that others are still answered. `memory`: bytes of objects to keep, so
    that they are fetched from the store once.
    """
    app = build()
    database = Database(settings.database_url, pool_size=threads)
    install(
        app,
        Context(
            settings=settings,
            database=database,
            # Somebody waits for the answer, and a thread with them.
            store=ObjectStore(settings, read_timeout=5, attempts=2),
            doorbell=Doorbell(settings.broker_url),
            metrics=Metrics(database),
            waits=threading.BoundedSemaphore(max(threads // 2, 1)),
            store_reads=threading.BoundedSemaphore(max(threads // 2, 1)),
            renditions=threading.BoundedSemaphore(2),
            stopping=threading.Event(),
            orders=Memory(_ORDERS_BYTES),
            aside=Aside(),
            objects=Memory(memory) if memory else None,
        ),
    )
    return app
