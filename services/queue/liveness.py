"""Which workers are alive, as conditions in SQL on a row of `workers`."""

_SILENT = "seen_at < now() - make_interval(secs => greatest(3 * workers.heartbeat_seconds, 30))"
"""Three heartbeats, so that a late one says nothing; a busy machine may take some seconds to send any."""
ALIVE = f"workers.state = 'running' AND NOT workers.{_SILENT}"
"""Neither stopped nor lost."""
LOST = f"workers.state = 'running' AND workers.{_SILENT}"
"""Taken for dead. Its leases expire by their own clock."""
