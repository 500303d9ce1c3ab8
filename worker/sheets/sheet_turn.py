"""Sheets as a kind of work: a slice at a time, so that pictures are made meanwhile."""

from collections.abc import Sequence

import structlog

from services.base.errors import NotFound, Unavailable
from services.base.object_keys import sheet_key
from services.base.storage import Corrupt, ObjectStore
from services.queue import chores
from services.queue.chores import CHORES, WorkClaim
from services.sheets import making, plans
from services.sheets.making import Tile, Wanted
from services.sheets.plans import SheetPlan
from services.sheets.subjects import POSTER, SHEET, Sheeted
from worker.leasing.chore_turns import ChoreTurns, hold_to_write
from worker.leasing.held_leases import HeldLeases
from worker.leasing.lease_renewal import Interrupted, LeaseKeeper
from worker.leasing.work_kinds import Tend
from worker.process.crash_points import crash_point
from worker.process.stopping import StopFlag
from worker.sheets.pyramid import Pyramid, SliceEnds
from worker.sheets.stored_pictures import LACKING_SECONDS, Lacking

log = structlog.get_logger()


class Sheets(ChoreTurns):
    """Makes one sheet."""

    kind = CHORES[SHEET]

    def __init__(self, held: HeldLeases, store: ObjectStore, stop: StopFlag, *, alternating: bool) -> None:
        super().__init__(held, stop, alternating=alternating)
        self._store = store

    def run(self, claim: WorkClaim, keeper: LeaseKeeper, tend: Tend) -> None:
        (task,) = claim.tasks
        rest = 0.0
        try:
            self._make(claim, Sheeted.parse(task.subject), keeper)
            return
        except SliceEnds:
            pass
        except Lacking as reason:
            log.info("sheet_waits", sheet=task.subject, reason=str(reason))
            rest = LACKING_SECONDS
        except (Interrupted, Unavailable):
            raise
        except Exception as error:
            log.exception("sheet_failed", sheet=task.subject)
            self.charge(claim, "sheet_failed", error)
            return
        with self._database.session() as session:
            chores.release(session, claim.lease_id, after_seconds=rest)

    def _make(self, claim: WorkClaim, sheeted: Sheeted, keeper: LeaseKeeper) -> None:
        with self._database.session() as session:
            asked = making.wanted(session, sheeted)
            begun = making.begun(session, asked.making) if asked and asked.making else None
        if asked is None:
            self._end(claim, sheeted, None)
            return
        plan = None
        if begun is not None:
            try:
                with self._store.verified(begun.plan_object) as file:
                    plan = SheetPlan(begun.layout, file.read())
            except (NotFound, Corrupt):
                begun = None
        if begun is None:
            # Read anew, also where it was begun: pictures may have come meanwhile, or the plan may be lost.
            plan = self._begin(claim, sheeted, asked)
            if plan is None:
                return
            with self._database.session() as session:
                begun = making.begun(session, plan.name)
        if begun is None or plan is None:
            raise SliceEnds
        until = self.slice_end(keeper)
        pyramid = Pyramid(
            self._database,
            self._store,
            begun,
            plan,
            list_tiles=lambda tiles: self._list(claim, sheeted, plan.name, tiles),
            may_go_on=lambda: self.may_go_on(keeper, until),
        )
        picture = pyramid.make()
        with self._database.session() as session:
            hold_to_write(session, claim)
            making.finish(session, asked, plan.name, picture)
            making.end(session, claim.lease_id, str(sheeted), asked)
        log.info("sheet_made", sheet=str(sheeted), cells=plan.layout.cells)

    def _begin(self, claim: WorkClaim, sheeted: Sheeted, asked: Wanted) -> SheetPlan | None:
        """Read what is to be shown; None where nothing is left to do."""
        poster = sheeted.layer_no == POSTER
        plan = plans.read(self._database, asked.atlas_no, asked.shows, asked.layers, poster=poster)
        if plan is None:
            self._end(claim, sheeted, asked)
            return None
        key = sheet_key(plan.digests, "digests")
        self._store.put_under(key, plan.digests, "application/octet-stream")
        with self._database.session() as session:
            hold_to_write(session, claim)
            if making.begin(session, asked, plan, key):
                making.end(session, claim.lease_id, str(sheeted), asked)
                return None
        return plan

    def _list(self, claim: WorkClaim, sheeted: Sheeted, name: str, tiles: Sequence[Tile]) -> None:
        crash_point("sheet_stored")
        with self._database.session() as session:
            hold_to_write(session, claim)
            making.add_tiles(session, name, tiles)

    def _end(self, claim: WorkClaim, sheeted: Sheeted, asked: Wanted | None) -> None:
        with self._database.session() as session:
            making.end(session, claim.lease_id, str(sheeted), asked)
