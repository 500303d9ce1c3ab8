"""Making again what the store has lost: a look whether it really has, then the objects, then the row."""

import errno
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import structlog
from sqlalchemy.orm import Session

from imago_engine.objectives import place_of
from imago_engine.synthesis.ascent import Item, Picture, synthesize
from imago_engine.synthesis.directions.kept_looks import looks_kept_by
from imago_engine.synthesis.encoding import encode
from imago_engine.techniques import technique_named
from services.base.errors import Unavailable
from services.base.plain_text import told
from services.base.settings import Settings
from services.base.storage import ObjectStore, generator_key
from services.comparison import making as comparison_making
from services.exports import making as export_making
from services.maps import making as map_making
from services.pictures import losses, renditions, repairs
from services.pictures.losses import Subject
from services.pictures.repairs import Irreparable, LostPicture
from services.queue import batches, chores
from services.queue.batches import Failure, Finished, Work
from services.queue.chores import CHORES, Task, WorkClaim
from services.sheets import making as sheet_making
from services.upkeep import scrubbing, tallies
from worker.batches.computation import Computed, DeviceLost, Made, compute, failure_of
from worker.batches.provenance import Provenance
from worker.batches.store import store_picture
from worker.leasing.held_leases import HeldLeases
from worker.leasing.lease_renewal import Interrupted, LeaseKeeper
from worker.leasing.work_kinds import LeasedWork, Tend
from worker.loading.generator_cache import local_file
from worker.loading.runtime import Runtime, Unloadable
from worker.process.crash_points import crash_point
from worker.process.devices import end_without_device

REPAIRS_AT_ONCE = 8
"""Things of one claim: few, since a worker that is killed is suspected of being killed by one of them."""
LOOK_SECONDS = 1.0
"""How often the database is asked whether someone waits."""
AWAY_SECONDS = 30.0
"""How long repairs rest when the store or the database does not answer, or this machine lacks something."""
_OUT_OF = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO})
"""What a machine may lack for a while: room on a disk, open files, memory; or a disk that fails."""
_IRREPARABLE = {
    False: "What a training has left behind (its log, card and grids) cannot be made again.",
    True: "Crops of real pictures are not made again by themselves: scan the pictures again.",
}
"""By whether it is a scan's."""
_MADE_AGAIN: Mapping[str, Callable[[Session, Subject], None]] = {
    "sheet": sheet_making.make_again,
    "tile": sheet_making.make_again,
    "map": map_making.make_again,
    "pairs": comparison_making.make_again,
    "export": export_making.make_again,
}
"""By the kind of what is lost, what has it made again by work of its own."""
log = structlog.get_logger()


class MadeWay(Interrupted):
    """Someone waits for a picture that this worker could make, and nobody for this one in particular."""


class Repairer(LeasedWork[WorkClaim]):
    """Makes some of what was noted as lost again."""

    kind = CHORES["repair"]

    def __init__(
        self,
        held: HeldLeases,
        *,
        store: ObjectStore,
        runtime: Runtime,
        provenance: Provenance,
        settings: Settings,
        make_way: bool = True,
    ) -> None:
        """With `make_way` the work is given back as soon as someone waits for a picture."""
        super().__init__(held)
        self._store = store
        self._runtime = runtime
        self._provenance = provenance
        self._settings = settings
        self._makes_way = make_way

    def claim(self, session: Session) -> WorkClaim | None:
        return chores.claim(
            session,
            "repair",
            self._held.worker_id,
            limit=REPAIRS_AT_ONCE,
            lease_seconds=self._held.seconds,
        )

    def run(self, claim: WorkClaim, keeper: LeaseKeeper, tend: Tend) -> None:
        try:
            self._repair(claim, keeper)
        except Interrupted:
            raise
        except Unavailable as error:
            log.warning("repairs_rest", reason=str(error))
            with self._database.session() as session:
                chores.release(session, claim.lease_id, after_seconds=AWAY_SECONDS)
        except DeviceLost as error:
            end_without_device(error)
        except BaseException as error:  # of third-party code too, which may raise SystemExit
            if _is_of_the_machine(error):
                log.exception("repairs_rest")
                with self._database.session() as session:
                    chores.release(session, claim.lease_id, after_seconds=AWAY_SECONDS)
            else:
                self._charge(claim, claim.tasks, error)

    def _charge(self, claim: WorkClaim, tasks: Sequence[Task], error: BaseException) -> None:
        log.exception("repair_failed")
        message = f"{type(error).__name__}: {error}"[:500]
        for task in tasks:
            self._fail(claim, task.subject, "internal", message)

    def _repair(self, claim: WorkClaim, keeper: LeaseKeeper) -> None:
        alike: dict[str, list[LostPicture]] = {}
        for task in claim.tasks:
            keeper.check()
            try:
                picture = self._take_up(claim, task)
            except (Interrupted, Unavailable):
                raise
            except Exception as error:
                if _is_of_the_machine(error):
                    raise
                self._charge(claim, [task], error)
                continue
            if picture is not None:
                alike.setdefault(picture.spec.batch_key, []).append(picture)
        for batch in alike.values():
            self._deliver(claim, batch[0].spec.technique, self._make(batch, keeper))

    def _take_up(self, claim: WorkClaim, task: Task) -> LostPicture | None:
        """Do what can be done at once; what is left is a picture that has to be computed."""
        subject = Subject.parse(task.subject)
        if self._is_whole(subject):
            self._strike(claim, task.subject, "repairs_unneeded")
        elif subject.kind == "generator":
            self._restore_generator(claim, subject)
        elif (make_again := _MADE_AGAIN.get(subject.kind)) is not None:
            with self._database.session() as session:
                # Held first: by now another worker may have had it made, which would be dropped again.
                if chores.hold(session, claim.lease_id, [task.subject]):
                    make_again(session, subject)
                    self._strike_in(session, claim, task.subject, "repaired")
        elif task.given_up:
            with self._database.session() as session:
                again = chores.LOOK_AGAIN_SECONDS
                chores.release(session, claim.lease_id, [task.subject], after_seconds=again)
        elif subject.kind == "visualization":
            try:
                with self._database.session() as session:
                    return repairs.picture(session, subject.id)
            except Irreparable as error:
                self._fail(claim, task.subject, "irreparable", str(error), final=True)
        else:
            message = _IRREPARABLE[subject.kind == "crops"]
            self._fail(claim, task.subject, "irreparable", message, final=True)
        return None

    def _is_whole(self, subject: Subject) -> bool:
        """Whether the store has all that the subject's row points to now. Raises `Unavailable`."""
        with self._database.session() as session:
            keys = losses.keys_of(session, subject)
        lost = [key for key in keys if scrubbing.fault_of(self._store, key) is not None]
        if lost and subject.kind == "visualization":
            # What is made of the picture in a moment, when it is asked for, is no reason to compute it.
            with self._database.session() as session:
                return not renditions.forget(session, subject.id, lost)
        return not lost

    def _make(self, batch: Sequence[LostPicture], keeper: LeaseKeeper) -> Computed:
        """Compute pictures of one network, layer, generator and recipe."""
        spec = batch[0].spec
        items = [Work(p.digest, p.objective.unit, place_of(p.objective), p.spec.seed, 1) for p in batch]
        parameters = technique_named(spec.technique).parameters(spec.parameters)
        try:
            with keeper.loading():
                network = self._runtime.network(spec.network, spec.network_sha256)
                named = batch[0].generator
                generator = looks = None
                if named is not None:
                    generator = self._runtime.generator(named)
                    looks = self._runtime.looks(spec.network, spec.network_sha256, named)
        except Unloadable as error:
            again = error.code != "network_changed"
            return Computed(failures=[Failure(item.digest, error.code, str(error), again) for item in items])
        except Unavailable:
            raise
        except Exception as error:
            if _is_of_the_machine(error):
                raise
            return Computed(failures=[failure_of(item, error.with_traceback(None)) for item in items])
        looked_at = time.monotonic()

        def look() -> None:
            nonlocal looked_at
            if self._makes_way and time.monotonic() - looked_at > LOOK_SECONDS:
                looked_at = time.monotonic()
                self._make_way()

        def on_step(step: int) -> None:
            if step == parameters.steps // 2:
                crash_point("mid_repair")
            keeper.step()
            look()

        def on_pause() -> None:
            keeper.tick()
            look()

        def ascend(items: Sequence[Work], group_size: int) -> list[Picture]:
            with keeper.computing(item.digest for item in items), looks_kept_by(looks):
                return synthesize(
                    network,
                    generator,
                    batch[0].objective.layer,
                    [Item(item.unit, item.seed, item.place) for item in items],
                    parameters,
                    on_step=on_step,
                    on_pause=on_pause,
                    device=self._runtime.device.name,
                    group_size=group_size,
                )

        return compute(
            items,
            ascend,
            group_size=self._runtime.device.group_size,
            canceled=frozenset,
            on_batch=lambda size, seconds: log.info(
                "pictures_made_again", items=size, seconds=round(seconds, 3)
            ),
            on_out_of_memory=lambda group_size: self._runtime.free_device(),
        )

    def _make_way(self) -> None:
        with suppress(Unavailable), self._database.session() as session:
            if batches.interactive_waits(session, lacks=self._held.lacking.left):
                raise MadeWay

    def _deliver(self, claim: WorkClaim, technique: str, computed: Computed) -> None:
        """Put the objects, then point to them. Raises `Unavailable`."""
        results = []
        for made in computed.made:
            if made.picture.status == "unreachable":
                computed.failures.append(_failure(made, "No gradient reached the code this time."))
                continue
            try:
                results.append(self._store_picture(claim, technique, made))
            except ValueError as error:  # an activation that is no number
                computed.failures.append(_failure(made, str(error)))
        crash_point("repair_stored")
        with self._database.session() as session:
            accepted = repairs.replace(session, claim, results)
        log.info("repaired", items=len(accepted), late=len(results) - len(accepted))
        for failure in computed.failures:
            subject = str(Subject("visualization", failure.digest))
            self._fail(claim, subject, failure.code, failure.message, final=not failure.retryable)

    def _store_picture(self, claim: WorkClaim, technique: str, made: Made) -> Finished:
        provenance = self._provenance.of(
            technique=technique,
            lease_id=claim.lease_id,
            batch_size=made.batch_size,
            group_size=made.group_size,
            seconds=made.seconds,
            skipped_steps=made.picture.skipped_steps,
        )
        return store_picture(self._store, made, encode(made.picture), provenance | {"repaired": True})

    def _restore_generator(self, claim: WorkClaim, subject: Subject) -> None:
        """Put the file again, if this machine has it."""
        with self._database.session() as session:
            sha256 = repairs.generator_sha256(session, subject.id)
        file = local_file(sha256, self._settings)
        if file is None:
            message = f"No worker that looked has the file {sha256}.safetensors of the generator any more."
            self._fail(claim, str(subject), "irreparable", message)
            return
        key = generator_key(sha256)
        self._store.put_file(key, file)
        if scrubbing.fault_of(self._store, key) is None:
            self._strike(claim, str(subject), "repaired")

    def _strike(self, claim: WorkClaim, subject: str, tally: str) -> None:
        with self._database.session() as session:
            self._strike_in(session, claim, subject, tally)

    @staticmethod
    def _strike_in(session: Session, claim: WorkClaim, subject: str, tally: str) -> None:
        tallies.add(session, {tally: len(chores.done(session, claim.lease_id, [subject]))})

    def _fail(self, claim: WorkClaim, subject: str, code: str, message: str, *, final: bool = False) -> None:
        log.warning("repair_failed", subject=subject, code=code, message=message)
        with self._database.session() as session:
            given_up = chores.fail(session, claim.lease_id, subject, code, told(message), final=final)
            if given_up is not None:
                tallies.add(session, {"repairs_failed": 1, "repairs_given_up": int(given_up)})


def _is_of_the_machine(error: BaseException) -> bool:
    """Whether what failed is no fault of what was to be repaired, and may go well later, or elsewhere."""
    return isinstance(error, OSError) and error.errno in _OUT_OF


def _failure(made: Made, message: str) -> Failure:
    return Failure(made.work.digest, "not_made", message, retryable=True)
