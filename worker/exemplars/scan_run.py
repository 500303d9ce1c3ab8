"""One run of a scan, from where it was saved to its end: slices of looking, then of cutting out crops."""

import time
from contextlib import suppress
from typing import Any

import structlog

from imago_engine.synthesis.exemplars.chosen import Chosen
from imago_engine.synthesis.exemplars.scan import BATCH, Scan
from imago_engine.synthesis.networks.load import Network
from services.base.database import Database
from services.base.errors import NotFound, Unavailable
from services.base.object_keys import crops_key, scan_key
from services.base.settings import Settings
from services.base.storage import Corrupt, ObjectStore
from services.exemplars import working
from services.exemplars.working import ScanTask
from worker.exemplars.cropping import Cropping, PackInMaking, Place
from worker.exemplars.looking import LookedAt, Looking, restore, state_bytes
from worker.exemplars.reading import Reading, SourcesChanged
from worker.leasing.lease_renewal import LeaseKeeper, LeaseLost
from worker.process.crash_points import crash_point

SAVING_SHARE = 10
"""A state is saved at the end of a slice, but only once so many times as long was computed as saving it took:
that of very many units is large."""
ROWS_AT_ONCE = 1000
GIVING_WAY = 2 * BATCH
"""A slice of looking ends with a batch, or after so many pictures where none is filled: of those that an
earlier worker has seen, or that cannot be decoded."""
log = structlog.get_logger()


class NothingToSee(ValueError):
    """The sources have no picture that can be decoded; the message is for the person who named them."""


class ScanRun:
    """Owned by the thread that works."""

    def __init__(
        self,
        task: ScanTask,
        network: Network,
        database: Database,
        store: ObjectStore,
        settings: Settings,
        keeper: LeaseKeeper,
    ) -> None:
        """Raises `SourceRefused`, `Unavailable`, or what finding the layers raises."""
        self._task, self._database, self._store = task, database, store
        self._settings, self._keeper = settings, keeper
        self._scan = Scan(network, task.layers, kept=task.kept, input_size=task.input_size)
        self._task_object: str | None = task.checkpoint_object
        self._saved_at, self._saving_took = time.monotonic(), 0.0
        self._computed, self._began_with = 0.0, 0
        looked_at, place, cropped = self._restore()
        self._looking: Looking | None = None
        self._cropping: Cropping | None = None
        self._looked_at, self._saved_read = looked_at, looked_at.read
        self._crops, self._packs = int(cropped.get("crops", 0)), int(cropped.get("packs", 0))
        if looked_at.fingerprint is None:
            self._looking = Looking(self._scan, self._reading(), settings, looked_at)
            self._began_with = looked_at.read
        else:
            self._begin_cropping(place)

    def slice(self) -> bool:
        """Work for a moment, and note how far it is; False at the end of the scan, which is then noted too.

        Raises `Interrupted`, `Unavailable`, `SourceError`, `SourcesChanged`, `NothingToSee`.
        """
        began = time.monotonic()
        until = began + self._settings.scan_slice_seconds
        if self._looking is not None:
            self._look(self._looking, until)
        elif self._cropping is not None and not self._crop(self._cropping, until):
            with self._database.session() as session:
                if not working.finish(session, self._task):
                    raise LeaseLost
            self._drop(self._task_object)
            return False
        self._computed += time.monotonic() - began
        return True

    def close(self) -> None:
        """Let go of the sources."""
        for part in (self._looking, self._cropping):
            if part is not None:
                part.close()

    def _look(self, looking: Looking, until: float) -> None:
        passed = 0
        while looking.step():
            self._keeper.step()
            passed += 1
            if (looking.ended_batch or passed >= GIVING_WAY) and time.monotonic() >= until:
                self._save_or_note(looking.looked_at)
                crash_point("mid_scan")
                return
        if not looking.looked_at.pictures:
            why = "; ".join(looking.looked_at.left_out_first)
            raise NothingToSee(
                "The sources have no picture that can be looked at" + (f": {why}" if why else ".")
            )
        self._add_statistics()
        self._save()
        looking.close()
        self._looking = None
        self._begin_cropping(Place())

    def _begin_cropping(self, place: Place) -> None:
        chosen = Chosen(self._scan)
        self._cropping = Cropping(chosen, self._scan.size, self._reading(), self._settings, place)
        self._expected, self._computed, self._began_with = len(chosen), 0.0, place.read

    def _crop(self, cropping: Cropping, until: float) -> bool:
        """Some packs of crops, as many as a slice has time for; False at the end."""
        making, in_time, ended = PackInMaking(self._packs), True, False
        while in_time and not ended:
            exemplar = cropping.step()
            ended = cropping.ended
            if exemplar is not None:
                making.add(exemplar)
            self._keeper.step()
            # Between two pictures: one alone may be an exemplar of very many units.
            in_time = (exemplar is not None and not making.is_full) or time.monotonic() < until
            if making.is_full or ended or not in_time:
                self._add_pack(making, cropping.place)
                making = PackInMaking(self._packs)
        if not ended:
            return True
        if cropping.fingerprint != self._looked_at.fingerprint or self._crops != self._expected:
            raise SourcesChanged()
        return False

    def _add_pack(self, making: PackInMaking, place: Place) -> None:
        crops, packs = self._crops + len(making.exemplars), self._packs + bool(making.exemplars)
        cropped = {**vars(place), "crops": crops, "packs": packs}
        progress = {**self._shown("cropping", place.read), "crops": crops, "cropped": cropped}
        made = []
        if making.exemplars:
            data = making.data
            key = crops_key(data)
            self._store.put_under(key, data, "application/octet-stream")
            made = [{"number": making.number, "object": key, "bytes": len(data)}]
            crash_point("crops_stored")
        with self._database.session() as session:
            if not working.add_exemplars(session, self._task, made, making.exemplars, progress):
                raise LeaseLost
        self._crops, self._packs = crops, packs

    def _add_statistics(self) -> None:
        """Write down what was found of every unit; again where it was written before."""
        for index in range(len(self._scan.layers)):
            found = self._scan.found(index)
            has_places = len(found.layer.shape) > 1
            rows = [
                {
                    "layer": found.layer.name,
                    "unit": unit,
                    "counted": counted,
                    "non_zero": non_zero,
                    "quantiles": quantiles if counted else [],
                    "usual_quantiles": usual if counted and has_places else None,
                }
                for unit, (counted, non_zero, quantiles, usual) in enumerate(
                    zip(
                        found.counted.tolist(),
                        found.non_zero.tolist(),
                        found.quantiles.tolist(),
                        found.usual_quantiles.tolist(),
                        strict=True,
                    )
                )
            ]
            for first in range(0, len(rows), ROWS_AT_ONCE):
                with self._database.session() as session:
                    if not working.add_statistics(session, self._task, rows[first : first + ROWS_AT_ONCE]):
                        raise LeaseLost
                self._keeper.tick()

    def _save(self) -> None:
        """Put the state into the store, point to it, and drop the one before. Raises `LeaseLost`."""
        began = time.monotonic()
        data = state_bytes(self._scan)
        key = scan_key(self._task.id, self._task.lease_id, data)
        self._store.put_under(key, data, "application/octet-stream")
        looked_at = self._looked_at.as_json()
        progress = {
            **self._shown("looking", self._looked_at.read),
            **_counts(looked_at),
            "saved": looked_at,
            "passed": self._looked_at.passed_as_json,
        }
        with self._database.session() as session:
            ours, superseded = working.save(session, self._task, progress, key)
        if not ours:
            raise LeaseLost
        self._task_object, self._saved_read = key, self._looked_at.read
        self._drop(superseded)
        self._saved_at = time.monotonic()
        self._saving_took = self._saved_at - began
        log.info("scan_saved", pictures=self._looked_at.pictures, bytes=len(data))

    def _save_or_note(self, looked_at: LookedAt) -> None:
        """Note how far it is; with its state, if that is another one by now and worth the time."""
        rested = time.monotonic() - self._saved_at
        if looked_at.read > self._saved_read and rested >= SAVING_SHARE * self._saving_took:
            self._save()
            return
        progress = {**self._shown("looking", looked_at.read), **_counts(looked_at.as_json())}
        with self._database.session() as session:
            if not working.save(session, self._task, progress)[0]:
                raise LeaseLost

    def _shown(self, phase: str, read: int) -> dict[str, Any]:
        """What people see of how far it is."""
        rate = (read - self._began_with) / self._computed if self._computed else None
        total = self._looked_at.read if phase == "cropping" else None
        return {"phase": phase, "read": read, "rate": rate, "total": total}

    def _restore(self) -> tuple[LookedAt, Place, dict[str, Any]]:
        """How far it was when its state was saved; from the beginning where there is none, or none any
        more."""
        if self._task_object is None or not self._is_restored(self._task_object):
            self._begin_anew()
            return LookedAt(), Place(), {}
        progress = self._task.progress
        cropped = dict(progress.get("cropped") or {})
        place = Place(cropped.get("read", 0), cropped.get("within", 0), cropped.get("fingerprint"))
        return LookedAt.of(progress["saved"], progress.get("passed")), place, cropped

    def _is_restored(self, key: str) -> bool:
        try:
            with self._store.verified(key) as file:
                return restore(self._scan, file.read())
        except (NotFound, Corrupt) as error:
            log.error("scan_state_lost", error=str(error))
            return False

    def _begin_anew(self) -> None:
        """Forget what was found, if anything was: also what a worker that did so has left."""
        with self._database.session() as session:
            working.begin_anew(session, self._task)
        some = True
        while some:
            self._keeper.check()
            with self._database.session() as session:
                some = working.forget_some(session, self._task)

    def _reading(self) -> Reading:
        return Reading(self._task.sources, self._settings)

    def _drop(self, key: str | None) -> None:
        if key is not None:
            with suppress(Unavailable):  # nothing points to it: it is collected in time
                self._store.delete(key)


def _counts(looked_at: dict[str, Any]) -> dict[str, Any]:
    return {name: looked_at[name] for name in ("pictures", "left_out", "left_out_first")}
