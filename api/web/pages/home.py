"""The entrance: what there is, and how to ask for more."""

from flask import Response

from api.auth import may_read, visitor
from api.context import context
from api.schemas.jobs import Job
from api.schemas.networks import Network
from api.web.site import page
from services.catalog.networks import list_networks
from services.jobs import jobs

JOBS_SHOWN = 10


def home() -> Response:
    """The networks, the latest jobs, and how to submit one. Without the lists where reading needs a key."""
    networks: list[Network] = []
    recent: list[Job] = []
    who = visitor()
    may = may_read(who, context().settings)
    if may:
        with context().database.session() as session:
            networks = [
                Network.of(network, with_labels=False) for network in list_networks(session, limit=100).data
            ]
            recent = [Job.of(job) for job in jobs.list(session, limit=JOBS_SHOWN).data]
    return page("home.html", networks=networks, jobs=recent, public=may, who=who)
