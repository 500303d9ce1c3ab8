"""Indexing what is not indexed yet: pictures of earlier releases, and of workers that could not."""

import io
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import structlog
from PIL import Image
from sqlalchemy.orm import Session

from imago_engine.artifacts import ArtifactKind
from imago_engine.weights import EYE
from services.base.errors import NotFound, Unavailable
from services.base.storage import Corrupt, ObjectStore
from services.pictures import losses
from services.pictures.losses import Reason, Subject
from services.queue import chores
from services.queue.chores import CHORES, WorkClaim
from services.search import indexing
from services.search.indexing import Place, Unseen
from worker.indexing.sight import Pixels, Sight
from worker.leasing.held_leases import HeldLeases
from worker.leasing.lease_renewal import LeaseKeeper
from worker.leasing.work_kinds import LeasedWork, Tend
from worker.process.stopping import StopFlag

SLICE_SECONDS = 3.0
"""About how long the rest waits for a slice."""
AT_ONCE = 32
READS_AT_ONCE = 4
PAUSE_SECONDS = 0.2
"""Between two slices, for whoever waits."""
LATER_SECONDS = 600.0
"""When it is tried again where an object was lost, the store was away, or the eye could not be loaded."""
OTHERS_AT_ONCE = 5000
log = structlog.get_logger()


class Indexing(LeasedWork[WorkClaim]):
    """A slice of the round through what is not indexed; where it is stands in the payload of its row."""

    kind = CHORES["index"]

    def __init__(self, held: HeldLeases, *, store: ObjectStore, sight: Sight, stop: StopFlag) -> None:
        super().__init__(held)
        self._store, self._sight, self._stop = store, sight, stop
        self._reads = ThreadPoolExecutor(READS_AT_ONCE, thread_name_prefix="index-read")

    def claim(self, session: Session) -> WorkClaim | None:
        return chores.claim(session, "index", self._held.worker_id, lease_seconds=self._held.seconds)

    def tidy(self) -> None:
        """Plan the round where something is not indexed."""
        with self._database.session() as session:
            if indexing.lacks(session):
                chores.plan(session, "index", EYE)

    def run(self, claim: WorkClaim, keeper: LeaseKeeper, tend: Tend) -> None:
        until = keeper.claimed_at + min(SLICE_SECONDS, self._held.seconds / 2)
        payload = claim.tasks[0].payload
        place, left_out = Place(**payload.get("after", {})), bool(payload.get("left_out", False))
        while not self._stop.asked and time.monotonic() < until:
            keeper.check()
            with self._database.session() as session:
                unseen = indexing.following(session, place, AT_ONCE)
            if not unseen:
                self._end(claim, left_out)
                return
            try:
                with keeper.watched():
                    added = self._index(claim, unseen)
            except Unavailable as error:
                log.warning("server_away", what="index", reason=str(error))
                added = None
            if added is None:
                self._go_on(claim, place, left_out, after_seconds=LATER_SECONDS)
                return
            left_out, place = left_out or added < len(unseen), unseen[-1].place
        self._go_on(claim, place, left_out, after_seconds=PAUSE_SECONDS)

    def _index(self, claim: WorkClaim, unseen: Sequence[Unseen]) -> int | None:
        """Returns how many are indexed now; None where this worker cannot look. Raises `Unavailable`."""
        read = dict(zip((one.digest for one in unseen), self._reads.map(self._read, unseen), strict=True))
        pictures = {digest: pixels for digest, pixels in read.items() if pixels is not None}
        found = self._sight.embeddings(list(pictures.values()))
        if found is None:
            return None
        with self._database.session() as session:
            if not chores.hold(session, claim.lease_id, [EYE]):
                return None
            added = indexing.add(session, dict(zip(pictures, found, strict=True)))
        log.info("indexed", pictures=added)
        return len(pictures)

    def _read(self, unseen: Unseen) -> Pixels | None:
        """What the unit sees of the picture; None, and a note, where the store has lost it."""
        shown = unseen.artifacts.get(ArtifactKind.CROP) or unseen.artifacts.get(ArtifactKind.IMAGE)
        if shown is None:
            return None
        try:
            with self._store.verified(shown.object) as file:
                return np.asarray(Image.open(io.BytesIO(file.read())).convert("RGB"))
        except (NotFound, Corrupt) as error:
            reason: Reason = "missing" if isinstance(error, NotFound) else "damaged"
            with self._database.session() as session:
                subject = Subject("visualization", unseen.digest)
                losses.note(session, subject, shown.object, reason, "worker")
        return None

    def _go_on(self, claim: WorkClaim, place: Place, left_out: bool, *, after_seconds: float) -> None:
        payload: Mapping[str, Any] = {"after": vars(place), "left_out": left_out}
        with self._database.session() as session:
            chores.release(session, claim.lease_id, after_seconds=after_seconds, payload=payload)

    def _end(self, claim: WorkClaim, left_out: bool) -> None:
        """Of a round: what was left out has its turn again later; else there is nothing to do any more."""
        with self._database.session() as session:
            dropped = indexing.drop_other_eyes(session, OTHERS_AT_ONCE)
        if left_out or dropped == OTHERS_AT_ONCE:
            again = LATER_SECONDS if left_out else PAUSE_SECONDS
            self._go_on(claim, Place(), False, after_seconds=again)
        else:
            with self._database.session() as session:
                chores.done(session, claim.lease_id, [EYE])
