"""Deliver a computed batch: encode, upload the objects, then mark its items done in one transaction."""

import math
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import structlog

from imago_engine.synthesis.encoding import encode
from services.base.errors import Unavailable
from services.base.states import Lane
from services.base.storage import ObjectStore
from services.estimates import costs
from services.estimates.cost_model import occupied
from services.queue import batches
from services.queue.batches import BATCHES, Claim, Failure, Finished
from worker.batches.computation import Computed, Made
from worker.batches.provenance import Provenance
from worker.batches.store import store_picture
from worker.leasing.held_leases import HeldLeases
from worker.leasing.lease_renewal import LeaseKeeper
from worker.leasing.retries import Patience, keep_trying
from worker.process.crash_points import crash_point
from worker.process.stopping import StopFlag
from worker.process.store_watch import StoreWatch

UPLOADS_AT_ONCE = 4
"""Puts wait for the store most of the time; more of them would compete with the computation for the CPU."""
log = structlog.get_logger()


@dataclass(frozen=True)
class _Ended:
    """How items ended: with a stored picture, with a unit that no code could reach, or with a failure."""

    finished: Sequence[Finished] = ()
    unreachable: Sequence[Made] = ()
    failures: Sequence[Failure] = ()


class Delivery:
    """Delivers batches. `deliver` never raises, and any thread may call it: what cannot be delivered is given
    back or lapses."""

    def __init__(
        self,
        leases: HeldLeases,
        store: ObjectStore,
        provenance: Provenance,
        stop: StopFlag,
        *,
        store_patience: float = 60.0,
        store_watch: StoreWatch | None = None,
    ) -> None:
        """`store_patience`: seconds to wait for a store that does not answer before a batch is given back, of
        which `store_watch` is told."""
        self._leases = leases
        self._database = leases.database
        self._store = store
        self._provenance = provenance
        self._stop = stop
        self._store_patience = store_patience
        self.store_watch = store_watch or StoreWatch(store)
        self._last_ended = -math.inf  # on the monotonic clock
        # Of each lane: who waits for a picture does not wait for the uploads of a bulk batch.
        self._uploads = {
            lane: ThreadPoolExecutor(UPLOADS_AT_ONCE, thread_name_prefix=f"upload-{lane}") for lane in Lane
        }

    def deliver(self, claim: Claim, computed: Computed, keeper: LeaseKeeper) -> None:
        """Store the pictures of `claim` and mark its items, as long as `keeper` holds the lease."""
        wanted = [made for made in computed.made if made.work.digest not in keeper.canceled]
        reached, unreachable = _partition(wanted)
        failures = [*computed.failures, *(failure for made in reached if (failure := _not_finite(made)))]
        faulty = {failure.digest for failure in failures}
        try:
            stored = list(
                self._uploads[claim.lane].map(
                    lambda made: self._put(claim, made, keeper),
                    [made for made in reached if made.work.digest not in faulty],
                )
            )
            finished = [one for one in stored if isinstance(one, Finished)]
            failures += [one for one in stored if isinstance(one, Failure)]
            crash_point("after_put")
            accepted = self._report(claim, _Ended(finished, unreachable, failures), keeper, computed)
            crash_point("after_commit")
            log.info(
                "batch_delivered",
                accepted=accepted,
                late=len(finished) - accepted,
                unreachable=len(unreachable),
                failed=len(failures),
            )
        except Unavailable as error:
            log.error("batch_not_delivered", reason=str(error))
            self.store_watch.failed(error)
            self._leases.give_back(BATCHES, claim.lease_id)
        except Exception as error:
            # A defect of ours. Tried again without end it would block the queue.
            log.exception("delivery_failed")
            self._fail_all(claim, error, keeper)
        finally:
            keeper.stop()
            self._last_ended = time.monotonic()

    def _put(self, claim: Claim, made: Made, keeper: LeaseKeeper) -> Finished | Failure:
        """What became of one picture; one that cannot be stored is no reason to lose the others."""
        try:
            artifacts, patience = encode(made.picture), Patience(self._store_patience)
            return keep_trying(
                lambda: store_picture(self._store, made, artifacts, self._provenance_of(claim, made)),
                what="put",
                may_go_on=lambda: keeper.may_finish and patience.left,
                wait=self._pause,
            )
        except Unavailable:
            raise
        except Exception as error:
            log.exception("picture_not_stored", digest=made.work.digest)
            return _unstorable(made.work.digest, error)

    def _report(self, claim: Claim, ended: _Ended, keeper: LeaseKeeper, computed: Computed) -> int:
        """Tell the database what became of the items; returns how many pictures it accepted.

        What it refuses to write, such as numbers that JSON does not know, is found by telling it one by one.
        """
        try:
            return self._commit_in_time(claim, ended, keeper, computed)
        except Unavailable:
            raise
        except Exception:
            log.exception("batch_not_written", items=len(ended.finished) + len(ended.unreachable))
        accepted, unwritten = 0, list(ended.failures)
        for digest, alone in (
            *((one.digest, _Ended(finished=[one])) for one in ended.finished),
            *((made.work.digest, _Ended(unreachable=[made])) for made in ended.unreachable),
        ):
            try:
                accepted += self._commit_in_time(claim, alone, keeper)
            except Unavailable:
                raise
            except Exception as error:
                unwritten.append(_unstorable(digest, error))
        self._commit_in_time(claim, _Ended(failures=unwritten), keeper)
        return accepted

    def _commit_in_time(
        self, claim: Claim, ended: _Ended, keeper: LeaseKeeper, computed: Computed | None = None
    ) -> int:
        """As `_commit`, as long as the lease lasts; returns how many pictures were accepted."""
        accepted = keep_trying(
            lambda: self._commit(claim, ended, computed, keeper.claimed_at),
            what="finish",
            may_go_on=lambda: keeper.may_finish,
            wait=self._pause,
        )
        return len(accepted)

    def _commit(self, claim: Claim, ended: _Ended, computed: Computed | None, claimed_at: float) -> set[str]:
        """End items in one transaction, and learn from `computed`, if given, what such work costs."""
        with self._database.session() as session:
            accepted = batches.conclude(
                session,
                claim.lease_id,
                finished=ended.finished,
                unreachable=[
                    (made.work.digest, self._provenance_of(claim, made)) for made in ended.unreachable
                ],
                failures=ended.failures,
            )
            if accepted and computed and computed.made:
                device = self._provenance.device
                rounds, seconds = computed.rounds(device.round_size)
                seconds = occupied(
                    seconds, claimed=claimed_at, last_ended=self._last_ended, now=time.monotonic()
                )
                costs.note(
                    session,
                    claim,
                    device=device.description,
                    round_items=device.round_size,
                    rounds=rounds,
                    seconds=seconds,
                )
            crash_point("before_commit")
        return accepted & {result.digest for result in ended.finished}

    def _fail_all(self, claim: Claim, error: Exception, keeper: LeaseKeeper) -> None:
        failures = [_unstorable(work.digest, error) for work in claim.items]
        try:
            self._commit_in_time(claim, _Ended(failures=failures), keeper)
        except Exception as reason:
            log.warning("fail_failed", reason=str(reason))
            self._leases.give_back(BATCHES, claim.lease_id)

    def _provenance_of(self, claim: Claim, made: Made) -> dict[str, object]:
        return self._provenance.of(
            technique=claim.recipe.technique,
            lease_id=claim.lease_id,
            batch_size=made.batch_size,
            group_size=made.group_size,
            seconds=made.seconds,
            skipped_steps=made.picture.skipped_steps,
        )

    def _pause(self, seconds: float) -> None:
        # A stop does not hurry this: the pause is short and the grace period is watched by the keeper.
        self._stop.wait(seconds)


def _partition(made: Iterable[Made]) -> tuple[list[Made], list[Made]]:
    """Pictures, and items whose unit no code could reach."""
    reached: list[Made] = []
    unreachable: list[Made] = []
    for one in made:
        (unreachable if one.picture.status == "unreachable" else reached).append(one)
    return reached, unreachable


def _not_finite(made: Made) -> Failure | None:
    if math.isfinite(made.picture.activation):
        return None
    message = f"The activation is {made.picture.activation}: this recipe drives the network out of its range."
    return Failure(made.work.digest, "not_finite", message, retryable=False)


def _unstorable(digest: str, error: Exception) -> Failure:
    message = f"The result could not be stored: {type(error).__name__}: {error}"
    return Failure(digest, "internal", message[:500], retryable=True)
