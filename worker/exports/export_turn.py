"""Exports as a kind of work: a slice at a time, so that pictures are made meanwhile."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from services.base.errors import NotFound, Unavailable
from services.base.storage import Corrupt, ObjectStore
from services.exports import making, parts
from services.exports.ending import Ending, EndingInMaking
from services.exports.lines import PlaceOf
from services.exports.making import Place
from services.exports.parts import Text
from services.exports.subjects import EXPORT, Exported
from services.exports.version_entries import Entries
from services.maps import final as final_maps
from services.queue import chores
from services.queue.chores import CHORES, WorkClaim
from worker.exports.map_places import MapPlaces
from worker.leasing.chore_turns import ChoreTurns, hold_to_write
from worker.leasing.held_leases import HeldLeases
from worker.leasing.lease_renewal import Interrupted, LeaseKeeper
from worker.leasing.work_kinds import Tend
from worker.process.crash_points import crash_point
from worker.process.stopping import StopFlag

_TYPES = {"json": "application/json", "jsonl": "application/x-ndjson", "sums": "text/plain"}
MAP_AGAIN_SECONDS = 5.0
"""When to look again whether the map is there that an export waits for."""
log = structlog.get_logger()


@dataclass
class InMaking:
    """What was read for an export and is needed in its next slice: the places of its map, and how far the
    files that its parts make are hashed."""

    map: MapPlaces | None = None
    ending: EndingInMaking | None = None


class Exports(ChoreTurns):
    """Writes down one export, part by part: a killed worker loses one of them, or what it has hashed."""

    kind = CHORES[EXPORT]

    def __init__(
        self,
        held: HeldLeases,
        store: ObjectStore,
        stop: StopFlag,
        *,
        alternating: bool,
        in_making: InMaking | None = None,
    ) -> None:
        """`in_making` is shared by all places that it has among the work of one worker."""
        super().__init__(held, stop, alternating=alternating)
        self._store = store
        self._in_making = in_making or InMaking()

    def run(self, claim: WorkClaim, keeper: LeaseKeeper, tend: Tend) -> None:
        exported, until = Exported.parse(claim.tasks[0].subject), self.slice_end(keeper)
        try:
            while not self._stop.asked and not keeper.fenced:
                if self._step(claim, exported, keeper, until):
                    return
                if time.monotonic() >= until or self.somebody_waits():
                    break
        except (Interrupted, Unavailable):
            raise
        except Exception as error:
            log.exception("export_failed", export=str(exported))
            self.charge(claim, "export_failed", error)
            return
        with self._database.session() as session:
            chores.release(session, claim.lease_id)

    def _step(self, claim: WorkClaim, exported: Exported, keeper: LeaseKeeper, until: float) -> bool:
        """Write the next part, or the end; whether nothing is left to do now."""
        with self._database.session() as session:
            asked = making.wanted(session, exported)
            place = None if asked is None else making.place(session, asked)
            if asked is None or place is None:
                chores.done(session, claim.lease_id, [str(exported)])
                return True
            if making.awaits_map(session, exported, place):
                chores.release(session, claim.lease_id, after_seconds=MAP_AGAIN_SECONDS)
                return True
            entries = asked.read(session, place.after, parts.AT_ONCE)
        if not entries:
            self._in_making.map = None
            ending = self._hash(claim, exported, asked, keeper, until)
            return ending is not None and self._finish(claim, exported, asked, place, ending)
        part = parts.write(entries, asked.class_labels, self._places(claim, exported, place))
        self._put([*part.texts])
        crash_point("export_stored")
        with self._database.session() as session:
            hold_to_write(session, claim)
            making.add(session, asked, place, part)
        return False

    def _places(self, claim: WorkClaim, exported: Exported, at: Place) -> PlaceOf | None:
        """Those of the map that the table has, which are kept until it is written. Raises `NotFound`
        or `Corrupt` where they are lost; then the export begins again, once the map is there again."""
        if at.map is None:
            return None
        kept = self._in_making.map
        if kept is None or kept.name != at.map:
            try:
                with self._database.session() as session:
                    found = final_maps.read(session, at.map)
                if found is None:
                    raise NotFound("map", at.map, "The export began with its places.")
                kept = self._in_making.map = MapPlaces.read(self._store, found)
            except (NotFound, Corrupt):
                with self._database.session() as session:
                    hold_to_write(session, claim, goes_on=False)
                    making.lose_map(session, exported, at.map)
                raise
        return kept.of

    def _hash(
        self, claim: WorkClaim, exported: Exported, asked: Entries, keeper: LeaseKeeper, until: float
    ) -> Ending | None:
        """Read on what the parts are, to hash the files that they make; None while some is left: of a million
        pictures it is more than a slice has time for. Raises `NotFound` or `Corrupt` where something is lost;
        then the export begins again."""
        with self._database.session() as session:
            listed = making.parts(session, asked)
        hashed = self._in_making.ending
        if hashed is None or not hashed.is_of(listed):
            hashed = self._in_making.ending = EndingInMaking(listed)
        try:
            while not hashed.is_whole:
                hashed.read_on(self._store)
                if not self.may_go_on(keeper, until):
                    break
        except (NotFound, Corrupt):
            self._in_making.ending = None
            with self._database.session() as session:
                hold_to_write(session, claim, goes_on=False)
                making.drop(session, exported)
            raise
        return hashed.ending(listed) if hashed.is_whole else None

    def _finish(
        self, claim: WorkClaim, exported: Exported, asked: Entries, at: Place, ending: Ending
    ) -> bool:
        with self._database.session() as session:
            manifest = Text.of(making.manifest(session, exported, ending), "json")
        self._put([manifest, ending.sums])
        with self._database.session() as session:
            hold_to_write(session, claim)
            if not making.finish(session, asked, at, ending, manifest):
                return False
            chores.done(session, claim.lease_id, [str(exported)])
        self._in_making.ending = None
        log.info("export_made", export=str(exported), parts=at.part, bytes=ending.listed_bytes)
        return True

    def _put(self, texts: Sequence[Text]) -> None:
        for text in texts:
            self._store.put_under(text.key, text.content, _TYPES[text.key.rpartition(".")[2]])
