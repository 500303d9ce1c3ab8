"""Looking at networks that became ready, before anybody waits for their first picture."""

from collections.abc import Callable

import structlog
from sqlalchemy.orm import Session

from imago_engine.synthesis.directions.kept_looks import looks_kept_by
from imago_engine.synthesis.directions.unit_directions import look_at_all
from imago_engine.techniques import technique_named
from imago_engine.techniques.automatic import WITH_GENERATOR
from services.base.errors import NotFound, Unavailable
from services.catalog.generators import get_generator
from services.catalog.looks import LOOK, Asked
from services.catalog.networks import get_network
from services.pictures.recipes import resolve
from services.queue import chores
from services.queue.chores import CHORES, WorkClaim
from worker.leasing.chore_turns import charge
from worker.leasing.held_leases import HeldLeases
from worker.leasing.lease_renewal import Interrupted, LeaseKeeper
from worker.leasing.work_kinds import LeasedWork, Tend, nothing
from worker.loading.runtime import Runtime, Unloadable

log = structlog.get_logger()


class LookTurn(LeasedWork[WorkClaim]):
    """Looks at one network with one generator, as a batch of the generator's own recipe would, and keeps what
    it found for all workers. It rests while somebody waits for pictures: those of the same network go on from
    where it is."""

    kind = CHORES[LOOK]

    def __init__(self, held: HeldLeases, runtime: Runtime, *, serve: Callable[[], object] = nothing) -> None:
        """`serve` is called again and again, and may do work that goes before."""
        super().__init__(held)
        self._runtime = runtime
        self._serve = serve

    def claim(self, session: Session) -> WorkClaim | None:
        return chores.claim(session, LOOK, self._held.worker_id, lease_seconds=self._held.seconds)

    def run(self, claim: WorkClaim, keeper: LeaseKeeper, tend: Tend) -> None:
        subject = claim.tasks[0].subject
        asked = Asked.of(subject)
        with structlog.contextvars.bound_contextvars(network=asked.network_id):
            try:
                self._look(asked, subject, keeper, tend)
            except NotFound:
                pass  # the network or the generator was removed meanwhile
            except (Interrupted, Unavailable):
                raise
            except Exception as error:
                # Networks are third-party code, which may raise anything. Pictures are not affected: a batch
                # that needs the look makes it, and says of each item what came of that.
                log.exception("look_failed")
                self._runtime.let_go()
                charge(
                    self._database, claim, error.code if isinstance(error, Unloadable) else "internal", error
                )
                return
            with self._database.session() as session:
                chores.done(session, claim.lease_id, [subject])

    def _look(self, asked: Asked, subject: str, keeper: LeaseKeeper, tend: Tend) -> None:
        """Raises `NotFound`, `Unloadable`, `Interrupted` or `Unavailable`, or what the network raises."""
        with self._database.session() as session:
            row, recommended = (
                get_network(session, asked.network_id),
                get_generator(session, asked.generator_id).recommended,
            )
        if row.state != "ready" or row.inspection_due:
            return  # planned again once it was inspected
        recipe = resolve(WITH_GENERATOR, row.suited(recommended), {})
        with keeper.loading():
            network = self._runtime.network(row.id, row.spec_sha256 or "")
            generator = self._runtime.generator(asked.generator_id)
            kept = self._runtime.looks(row.id, row.spec_sha256 or "", asked.generator_id)

        def on_pause() -> None:
            keeper.tick()
            with keeper.suspended():
                self._serve()
                tend()

        with keeper.computing([subject]), looks_kept_by(kept):
            parameters = technique_named(recipe.technique).parameters(recipe.parameters)
            look_at_all(network, generator, parameters, on_pause)
        log.info("network_looked_at", generator=asked.generator_id)
