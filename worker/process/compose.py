"""What one worker process consists of: clients, the device, the kinds of work in their order, and the loop.

Imports torch, so only the process that computes imports this, in the thread that works.
"""

import socket
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from services.access.data_root import has_data_root
from services.base.broker import Doorbell
from services.base.database import Database
from services.base.errors import Unavailable
from services.base.settings import Settings
from services.base.states import Lane
from services.base.storage import ObjectStore
from services.catalog.shipped_generator import register_shipped_generator
from worker.atlases.expansion_turn import Expansion
from worker.batches.deliver import Delivery
from worker.batches.provenance import Provenance
from worker.batches.runner import BatchRunner
from worker.batches.size import BatchSizer
from worker.comparison.comparison_turn import Comparing
from worker.exemplars.scanner import Scanner
from worker.exports.export_turn import Exports, InMaking
from worker.indexing.backlog import Indexing
from worker.indexing.photographs import Photographs
from worker.indexing.sight import Sight
from worker.inspecting.inspector import Inspector
from worker.inspecting.look_turn import LookTurn
from worker.leasing.held_leases import HeldLeases
from worker.leasing.retries import keep_trying
from worker.leasing.work_kinds import WorkKind
from worker.leasing.work_loop import WorkLoop
from worker.loading.runtime import Runtime
from worker.maps.map_turn import Maps
from worker.process.devices import Device, choose_device
from worker.process.presence import Presence
from worker.process.stopping import StopFlag
from worker.process.store_watch import StoreWatch
from worker.sheets.sheet_turn import Sheets
from worker.trainings.trainer import Trainer
from worker.upkeep.repair_turn import RepairTurn
from worker.upkeep.repairs import Repairer
from worker.upkeep.rounds import Collecting, Scrubbing

log = structlog.get_logger()


@dataclass(frozen=True)
class Parts:
    """The kinds of work in the order of their precedence, and the loop over them."""

    kinds: tuple[WorkKind, ...]
    loop: WorkLoop


def compose(
    settings: Settings, stop: StopFlag, on_seen: Callable[[Callable[[], None]], None]
) -> Parts | None:
    """Choose the device, make the clients, and introduce the worker to the servers, which may take a while.

    `on_seen` gets what is to be called at the end, once people see this worker. None when it was asked to
    stop before the servers came up.
    """
    device = choose_device(settings.device, settings.threads)
    worker_id = f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
    structlog.contextvars.bind_contextvars(worker=worker_id)
    database, store = Database(settings.database_url), ObjectStore(settings)
    watch, held = StoreWatch(store), HeldLeases(database, settings, worker_id, stop)
    presence = Presence(
        database, settings, worker_id, device.description, watch, stop, held.lacking, heard=held.heard
    )

    def prepare_store() -> None:
        try:
            store.ensure_bucket()
            register_shipped_generator(database, store, settings.generator_path)
        except Unavailable as error:
            watch.failed(error)
            raise

    def sign_off() -> None:
        presence.sign_off()
        database.dispose()

    def insist(action: Callable[[], None], what: str) -> None:
        keep_trying(action, what=what, may_go_on=lambda: not stop.asked, wait=stop.wait)

    try:
        insist(presence.introduce, "introduce")
        # From here on people see this worker, and what keeps it from working.
        presence.start()
        on_seen(sign_off)
        insist(prepare_store, "store")
    except Unavailable:
        return None
    doorbell = Doorbell(settings.broker_url)
    kinds = _kinds(held, store, settings, device, watch, stop, ring=lambda: doorbell.ring(Lane.BULK))
    loop = WorkLoop(
        kinds,
        database=database,
        poll_seconds=settings.poll_seconds,
        ring=lambda: doorbell.ring(Lane.INTERACTIVE),
        stop=stop,
        may_judge=lambda: held.contact.steady,
        give_back_owed=held.give_back_owed,
    )
    log.info("worker_ready", device=device.description, trains=has_data_root(settings.data_root))
    return Parts(kinds, loop)


def _kinds(
    held: HeldLeases,
    store: ObjectStore,
    settings: Settings,
    device: Device,
    watch: StoreWatch,
    stop: StopFlag,
    ring: Callable[[], object],
) -> tuple[WorkKind, ...]:
    """All that this worker does, what goes first first. `ring` tells others that there is bulk work."""
    runtime = Runtime(held.database, store, settings, device)
    provenance, sight = Provenance(held.worker_id, device), Sight(device)
    photographs = Photographs(held, runtime=runtime, sight=sight)
    batches = BatchRunner(
        held,
        runtime=runtime,
        sizer=BatchSizer(
            batch_seconds=settings.batch_seconds,
            max_batch=settings.max_batch,
            round_size=device.round_size,
        ),
        delivery=Delivery(
            held,
            store,
            provenance,
            stop,
            store_patience=settings.store_patience_seconds,
            store_watch=watch,
        ),
        settings=settings,
        stop=stop,
        sight=sight,
        photographs=photographs,
    )

    def repairer(make_way: bool) -> Repairer:
        return Repairer(
            held,
            store=store,
            runtime=runtime,
            provenance=provenance,
            settings=settings,
            make_way=make_way,
        )

    def expansion(alternating: bool) -> Expansion:
        return Expansion(held, stop, alternating=alternating, ring=ring)

    inspections = Inspector(held, runtime, stop, on_pause=batches.run_interactive)

    def look_turn(alternating: bool) -> LookTurn:
        return LookTurn(held, runtime, stop, watch, alternating=alternating, on_pause=batches.run_interactive)

    looks = look_turn(alternating=True)
    export_in_making = InMaking()
    chores = (  # need no device
        expansion(alternating=False),
        Comparing(held, store, stop, alternating=False),
        Sheets(held, store, stop, alternating=False),
        Exports(held, store, stop, alternating=False, in_making=export_in_making),
    )
    chores_in_turns = (
        expansion(alternating=True),
        Comparing(held, store, stop, alternating=True),
        Sheets(held, store, stop, alternating=True),
        Exports(held, store, stop, alternating=True, in_making=export_in_making),
    )
    repairs = repairer(make_way=True)
    beside_maps = (photographs, inspections, looks, expansion(alternating=False), batches, repairs)
    maps = Maps(held, store, settings, stop, beside=beside_maps)
    scans = Scanner(
        held,
        store=store,
        runtime=runtime,
        settings=settings,
        stop=stop,
        before=(
            photographs,
            inspections,
            looks,
            expansion(alternating=True),
            batches,
            *chores,
            maps,
            repairs,
        ),
        store_watch=watch,
    )
    trainings = Trainer(
        held,
        store=store,
        settings=settings,
        stop=stop,
        free_device=runtime.free_device,
        before=(photographs, inspections, looks, scans, expansion(alternating=True), maps, batches, repairs),
        beside=(*chores_in_turns, *chores),
        may_begin=lambda: batches.settled,
        store_watch=watch,
    )
    return (
        photographs,
        inspections,
        looks,  # pictures of the network would wait for it
        RepairTurn(repairer(make_way=False)),
        scans,  # before what may never end: it shares its time
        *chores_in_turns,
        maps,  # pictures go on beside it
        batches,
        look_turn(alternating=False),
        *chores,
        repairs,
        Indexing(held, store=store, sight=sight, stop=stop),
        Scrubbing(held, store=store, settings=settings, stop=stop),
        Collecting(held, store=store, settings=settings, stop=stop),
        trainings,
    )
