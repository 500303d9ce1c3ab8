"""Looking at networks that became ready, before anybody waits for their first picture."""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from imago_engine.synthesis.directions.kept_looks import looks_kept_by
from imago_engine.synthesis.directions.unit_directions import look_at_all
from imago_engine.techniques import technique_named
from imago_engine.techniques.automatic import WITH_GENERATOR
from services.base.errors import Unavailable
from services.catalog import looks
from services.catalog.generators import get_generator
from services.catalog.looks import LOOK, Asked
from services.catalog.networks import get_network
from services.pictures.recipes import resolve
from services.queue import chores
from services.queue.chores import CHORES, WorkClaim
from worker.leasing.chore_turns import ChoreTurns
from worker.leasing.held_leases import HeldLeases
from worker.leasing.lease_renewal import Interrupted, LeaseKeeper
from worker.leasing.work_kinds import Tend, nothing
from worker.loading.runtime import NotHere, Runtime, Unloadable
from worker.process.devices import end_without_device, is_device_lost, is_out_of_memory
from worker.process.stopping import StopFlag
from worker.process.store_watch import StoreWatch

AGAIN_SECONDS = 60.0
"""Until a look that came to nothing through no fault of its own is tried again, by whoever is first."""
log = structlog.get_logger()


@dataclass(frozen=True)
class Looked:
    """Which network was looked at, as specs name it, None where none was to be; and whether what was found
    could not be kept."""

    network_sha256: str | None
    lost: bool = False


class LookTurn(ChoreTurns):
    """Looks at one network with the default generator, as a batch of the generator's own recipe would, and
    keeps what it found for all workers. It rests while somebody waits for pictures: those of the same network
    go on from where it is."""

    kind = CHORES[LOOK]

    def __init__(
        self,
        held: HeldLeases,
        runtime: Runtime,
        stop: StopFlag,
        store_watch: StoreWatch,
        *,
        alternating: bool,
        on_pause: Callable[[], object] = nothing,
    ) -> None:
        """`on_pause` is called again and again, and may do work that goes before."""
        super().__init__(held, stop, alternating=alternating)
        self._runtime = runtime
        self._store_watch = store_watch
        self._on_pause = on_pause

    def may_claim(self) -> bool:
        return super().may_claim() and self._store_watch.answers()

    def run(self, claim: WorkClaim, keeper: LeaseKeeper, tend: Tend) -> None:
        (task,) = claim.tasks
        if task.given_up:  # it is planned anew with whatever may make it go better
            with self._database.session() as session:
                chores.release(session, claim.lease_id, after_seconds=chores.LOOK_AGAIN_SECONDS)
            return
        asked = Asked.of(task.subject)
        with structlog.contextvars.bound_contextvars(network=asked.network_id):
            try:
                looked = self._look(asked, task.subject, keeper, tend)
            except NotHere as error:
                log.warning("look_put_off", reason=str(error))
                with self._database.session() as session:
                    chores.put_off(session, claim.lease_id, seconds=AGAIN_SECONDS)
                return
            except (Interrupted, Unavailable) as reason:
                if isinstance(reason, Unavailable):
                    self._store_watch.failed(reason)
                raise
            except BaseException as error:  # of third-party code, which may raise SystemExit too
                failed = error.with_traceback(None)
                log.exception("look_failed")
            else:
                self._end(claim, asked, looked)
                return
        if is_device_lost(failed):
            end_without_device(failed)
        # Pictures are not affected: a batch that needs the look makes it, and tells of each item what came of
        # that.
        code = failed.code if isinstance(failed, Unloadable) else "internal"
        self.charge(claim, code, failed)
        if is_out_of_memory(failed):
            self._runtime.free_device()

    def _look(self, asked: Asked, subject: str, keeper: LeaseKeeper, tend: Tend) -> Looked:
        """What was looked at, and whether that was kept. Raises `Unloadable`, `Interrupted`, `Unavailable`,
        or whatever the network raises."""
        with self._database.session() as session:
            current = looks.current(session, asked)
            if current is None:
                return Looked(None)
            row = get_network(session, asked.network_id)
            recommended = get_generator(session, asked.generator_id).recommended
        recipe = resolve(WITH_GENERATOR, row.suited(recommended), {})
        with keeper.loading():
            network = self._runtime.network(row.id, current)
            generator = self._runtime.generator(asked.generator_id)
            stored = self._runtime.looks(row.id, current, asked.generator_id)

        def on_pause() -> None:
            keeper.tick()
            with keeper.suspended():
                self._on_pause()
                tend()

        with keeper.computing([subject]), looks_kept_by(stored):
            parameters = technique_named(recipe.technique).parameters(recipe.parameters)
            look_at_all(network, generator, parameters, on_pause)
        log.info("network_looked_at", generator=asked.generator_id, kept=not stored.lost)
        return Looked(current, stored.lost)

    def _end(self, claim: WorkClaim, asked: Asked, looked: Looked) -> None:
        """Strike it off, unless the network is another one by now, or what was found could not be kept."""
        with self._database.session() as session:
            held = chores.hold(session, claim.lease_id, [str(asked)])
            if held and looks.current(session, asked) == looked.network_sha256 and not looked.lost:
                chores.done(session, claim.lease_id, held)
            elif looked.lost:
                chores.put_off(session, claim.lease_id, seconds=AGAIN_SECONDS)
            else:
                chores.release(session, claim.lease_id)
