"""The health check of a worker's container: has the worker on this host been seen by the database lately?

A worker that has died, hangs, or was cut off stops telling, so this asks what every other part of the
house sees, and not whether a process exists. A database that does not answer is not the worker's fault.
"""

import socket
import sys

from services.base.database import Database
from services.base.errors import Unavailable
from services.base.settings import Settings
from services.queue import workers


def main() -> int:
    """0 when a worker of this host lives, even if it waits for a server, or the database cannot say; else
    1."""
    database = Database(Settings().database_url, pool_size=1)
    try:
        with database.session() as session:
            known = workers.list(session, hours=1)
    except Unavailable as absent:
        print(f"cannot tell: {absent}")
        return 0
    finally:
        database.dispose()
    found = [worker for worker in known if worker.host == socket.gethostname()]
    for worker in found:
        print(f"{worker.id} {worker.state}, seen {worker.seen_at:%H:%M:%S} UTC")
    return 0 if any(worker.state in ("idle", "working", "waiting") for worker in found) else 1


if __name__ == "__main__":
    sys.exit(main())
