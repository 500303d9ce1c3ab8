"""The items of one claim, from loading what they need to their results."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import structlog

from imago_engine.specs import Recipe
from imago_engine.synthesis.ascent import Item, Picture, synthesize
from imago_engine.synthesis.directions.kept_looks import looks_kept_by
from imago_engine.synthesis.directions.unit_directions import look_ahead
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.techniques import BaseParameters, technique_named
from imago_engine.techniques.dgn_am import needs_directions
from services.base.database import Database
from services.base.errors import Unavailable
from services.pictures.recipes import other_version
from services.queue.batches import Claim, Failure, Work
from worker.batches.computation import Computed, DeviceLost, compute, failure_of
from worker.batches.giving_way import Stopwatch
from worker.batches.size import BatchSizer
from worker.indexing.sight import Sight
from worker.leasing.lacking import Lacking, LeftToOthers
from worker.leasing.lease_renewal import EverythingCanceled, Interrupted, LeaseKeeper, NoRoom
from worker.leasing.retries import Patience, keep_trying
from worker.loading.runtime import NotHere, Runtime, Unloadable
from worker.loading.stored_looks import StoredLooks
from worker.process.crash_points import crash_point
from worker.process.devices import end_without_device, is_device_lost, is_out_of_memory
from worker.process.stopping import StopFlag

T = TypeVar("T")
log = structlog.get_logger()


class Computer:
    """Computes claimed batches, in one thread; a batch may be computed while another one is suspended."""

    def __init__(
        self,
        *,
        database: Database,
        runtime: Runtime,
        sizer: BatchSizer,
        store_patience: float,
        stop: StopFlag,
        lacking: Lacking,
        worker_id: str,
        sight: Sight,
    ) -> None:
        """`store_patience`: seconds to wait for a store that does not answer before a batch is given back."""
        self._database = database
        self._runtime = runtime
        self._sizer = sizer
        self._store_patience = store_patience
        self._stop = stop
        self._lacking = lacking
        self._worker_id = worker_id
        self._sight = sight
        self._group_sizes: dict[str, int] = {}  # by batch key, where the device's own took too much memory

    def size(self, batch_key: str, recipe: Recipe) -> int:
        """Items of this kind that make a batch; of what the engine would refuse one, which then says why."""
        try:
            steps = technique_named(recipe.technique).parameters(recipe.parameters).steps
        except Exception:  # nothing may keep the item at the head of the queue from being claimed
            return 1
        return self._sizer.size(batch_key, steps)

    def compute(
        self,
        claim: Claim,
        keeper: LeaseKeeper,
        watch: Stopwatch,
        *,
        pause: Callable[[], None],
        shares_memory: Callable[[], bool],
    ) -> Computed:
        """What became of the items that the keeper's lease holds; whatever the engine raises is told of them.

        `pause` is called between steps, and may do other work while `watch` stands still. `shares_memory`
        says whether another batch is, or was during this one, in the device's memory: then running out of it
        is not these items' fault, and ends in `NoRoom`. Raises `Interrupted`, or `Unavailable`, when the
        items are to be given back. Ends the process when it has lost its device.
        """
        try:
            return self._ascend(claim, keeper, watch, pause, shares_memory)
        except (Interrupted, Unavailable):
            raise
        except Unloadable as error:
            again = isinstance(error, NotHere) and self._is_passing(error)
            return Computed(
                failures=[Failure(work.digest, error.code, str(error), again) for work in claim.items]
            )
        except DeviceLost as error:
            end_without_device(error)
        except BaseException as error:
            # Networks and what loads them are third-party code, which may raise anything, SystemExit too.
            # What would leave here would leave a lease to lapse, and its items without an end.
            log.exception("batch_failed")
            failed = error.with_traceback(None)
        if is_device_lost(failed):
            end_without_device(failed)
        if is_out_of_memory(failed):
            self._runtime.free_device()
            if shares_memory():
                raise NoRoom
        return Computed(failures=[failure_of(work, failed) for work in claim.items])

    def _ascend(
        self,
        claim: Claim,
        keeper: LeaseKeeper,
        watch: Stopwatch,
        pause: Callable[[], None],
        shares_memory: Callable[[], bool],
    ) -> Computed:
        _check_version(claim)
        parameters = technique_named(claim.recipe.technique).parameters(claim.recipe.parameters)
        with keeper.loading():
            network = self._load(
                lambda: self._runtime.network(claim.network_id, claim.network_sha256), keeper
            )
            self._lacking.found(f"network:{claim.network_id}")
            generator = self._generator(claim.generator_id, keeper)
            looks = self._looks(claim, parameters, keeper)

        def on_step(step: int) -> None:
            if step == parameters.steps // 2:
                crash_point("mid_batch")
            keeper.step()
            pause()

        def on_pause() -> None:
            keeper.tick()
            pause()

        def ascend(batch: Sequence[Work], group_size: int) -> list[Picture]:
            with keeper.computing(work.digest for work in batch), looks_kept_by(looks):
                return synthesize(
                    network,
                    generator,
                    claim.layer,
                    [Item(work.unit, work.seed, work.place) for work in batch],
                    parameters,
                    on_step=on_step,
                    on_pause=on_pause,
                    device=self._runtime.device.name,
                    group_size=group_size,
                )

        def on_out_of_memory(group_size: int) -> None:
            self._runtime.free_device()
            if shares_memory():
                raise NoRoom
            self._group_sizes[claim.batch_key] = max(group_size, 1)

        if looks is not None and generator is not None:
            # Before the clock runs: what is measured once says nothing of what the next batch costs.
            with keeper.computing(work.digest for work in claim.items), looks_kept_by(looks):
                places = {work.place for work in claim.items}
                look_ahead(network, generator, claim.layer, parameters, on_pause, places)
        computed = compute(
            claim.items,
            ascend,
            group_size=self._group_sizes.get(claim.batch_key, self._runtime.device.group_size),
            canceled=lambda: keeper.canceled,
            on_batch=lambda size, seconds: self._learn(claim, parameters, size, seconds),
            on_out_of_memory=on_out_of_memory,
            clock=watch,
        )
        if not computed.made and not computed.failures:
            raise EverythingCanceled
        with keeper.watched():
            computed.made = self._sight.seen(computed.made)
        return computed

    def _generator(self, id: str | None, keeper: LeaseKeeper) -> Generator | None:
        """The one of the batch, None for a technique that needs none."""
        if id is None:
            return None
        generator = self._load(lambda: self._runtime.generator(id), keeper)
        self._lacking.found(f"generator:{id}")
        return generator

    def _looks(self, claim: Claim, parameters: BaseParameters, keeper: LeaseKeeper) -> StoredLooks | None:
        """Where what is measured of the network lies; None for a recipe that measures nothing."""
        if not needs_directions(parameters) or claim.generator_id is None:
            return None
        id = claim.generator_id
        return self._load(lambda: self._runtime.looks(claim.network_id, claim.network_sha256, id), keeper)

    def _is_passing(self, error: NotHere) -> bool:
        """Raise `LeftToOthers` where another worker that lives may load what this one cannot; else whether a
        later try may go better."""
        if self._lacking.leave(self._database, self._worker_id, error.key, str(error)):
            raise LeftToOthers(str(error))
        return error.passing

    def _learn(self, claim: Claim, parameters: BaseParameters, size: int, seconds: float) -> None:
        self._sizer.learn(claim.batch_key, items=size, steps=parameters.steps, seconds=seconds)
        log.info(
            "batch_computed",
            items=size,
            seconds=round(seconds, 3),
            network=claim.network_id,
            layer=claim.layer,
        )

    def _load(self, action: Callable[[], T], keeper: LeaseKeeper) -> T:
        patience = Patience(self._store_patience)
        return keep_trying(
            action, what="load", may_go_on=lambda: not keeper.fenced and patience.left, wait=self._stop.wait
        )


def _check_version(claim: Claim) -> None:
    """Pictures are named by the version of their technique: one of another version must not get the name.

    Raises `Unloadable` for one of an earlier release, and `NotHere` for what a later one has planned.
    """
    other = other_version(claim.recipe.technique, claim.version)
    if other is None:
        return
    if other.later:
        message = f"It is to be made by {other.named}: this worker is of an earlier release. Upgrade it."
        raise NotHere("batch", claim.batch_key, message, passing=True)
    message = f"It was to be made by {other.named}. Submit the unit again to have a picture of it."
    raise Unloadable("technique_changed", message)
