"""Repairs of maps whose points the store has lost."""

import pytest
from sqlalchemy import text

from services.base.database import Database
from services.base.settings import Settings
from services.base.storage import ObjectStore
from services.pictures import losses
from services.pictures.losses import Subject
from services.queue.chores import CHORES
from services.queue.reconciliation import reconcile
from services.upkeep import scrubbing
from tests.integration.maps.mapped import built, shown, worker
from worker.batches.provenance import Provenance
from worker.leasing.held_leases import HeldLeases
from worker.loading.runtime import Runtime
from worker.process.devices import choose_device
from worker.process.stopping import StopFlag
from worker.upkeep.repairs import Repairer


def test_a_repair_that_has_lost_its_lease_drops_no_map(
    staged: Database, store: ObjectStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = built(staged, units="0-9")
    shown(staged, id, asked=True)
    assert worker(staged, store, settings).look()
    map = shown(staged, id).map
    assert map is not None
    points = store.get(map.points_object)
    store.delete(map.points_object)
    with staged.session() as session:
        losses.note(session, Subject("map", map.name), map.points_object, "missing", "read")
    device, held = choose_device("cpu"), HeldLeases(staged, settings, "tester", StopFlag())
    repairer = Repairer(
        held,
        store=store,
        runtime=Runtime(staged, store, settings, device),
        provenance=Provenance("tester", device),
        settings=settings,
    )
    looked = scrubbing.fault_of

    def look_late(store: ObjectStore, key: str) -> object:
        fault = looked(store, key)
        with staged.session() as session:
            session.execute(text("UPDATE leases SET expires_at = now() - interval '1 s'"))
        with staged.session() as session:
            assert reconcile(session, CHORES["repair"]).requeued == 1
        store.put_under(key, points, "application/octet-stream")  # another one has had it made meanwhile
        return fault

    with monkeypatch.context() as late:
        late.setattr(scrubbing, "fault_of", look_late)
        assert repairer.look()
    assert shown(staged, id).map == map
