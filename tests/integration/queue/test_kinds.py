"""A kind of work that nobody knew before: what it says of itself in two small classes is all it needs."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from services.base.database import Database
from services.base.errors import Unavailable
from services.base.settings import Settings
from services.catalog.inspection_leases import claim_inspection
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import register_network
from services.queue import chores, leases
from services.queue.kinds import TakenBack, pulse
from services.queue.reconciliation import Reconciled, reconcile
from services.queue.registry import BY_NAME, KINDS
from tests.integration.queue.row_locks import Acting, pid_of
from tests.worker_processes import until
from worker.leasing import work_loop
from worker.leasing.held_leases import HeldLeases
from worker.leasing.lease_renewal import LeaseKeeper, LeaseLost
from worker.leasing.work_kinds import LeasedWork, Tend, WorkKind, nothing
from worker.leasing.work_loop import WorkLoop
from worker.process.stopping import StopFlag


@dataclass(frozen=True)
class ToyClaim:
    lease_id: int
    toy: int


class _Toys:
    """The database's side."""

    name = "toy"

    def claim(self, session: Session, worker_id: str, lease_seconds: float) -> ToyClaim | None:
        free = text(
            "SELECT id FROM toys WHERE lease_id IS NULL AND NOT done ORDER BY id LIMIT 1"
            " FOR NO KEY UPDATE SKIP LOCKED"
        )
        toy = session.execute(free).scalar()
        if toy is None:
            return None
        lease_id = leases.open_lease(session, self.name, worker_id, lease_seconds=lease_seconds)
        session.execute(
            text("UPDATE toys SET lease_id = :lease WHERE id = :toy"), {"lease": lease_id, "toy": toy}
        )
        return ToyClaim(lease_id, toy)

    def finish(self, session: Session, lease_id: int) -> bool:
        if not leases.hold(session, lease_id):
            return False
        session.execute(
            text("UPDATE toys SET done = true, lease_id = NULL WHERE lease_id = :lease"), {"lease": lease_id}
        )
        leases.close(session, lease_id, outcome="finished")
        return True

    def canceled(self, session: Session, lease_id: int) -> frozenset[str]:
        query = text("SELECT id::text FROM toys WHERE lease_id = :lease AND unwanted")
        return frozenset(session.scalars(query, {"lease": lease_id}))

    def give_back(self, session: Session, lease_id: int) -> None:
        if leases.hold(session, lease_id):
            session.execute(
                text("UPDATE toys SET lease_id = NULL WHERE lease_id = :lease"), {"lease": lease_id}
            )
            leases.close(session, lease_id, outcome="released")

    def take_back(self, session: Session, lease_ids: Sequence[int]) -> TakenBack:
        query = text("UPDATE toys SET lease_id = NULL, deaths = deaths + 1 WHERE lease_id = ANY(:leases)")
        session.execute(query, {"leases": list(lease_ids)})
        return TakenBack(queued=len(lease_ids))


TOYS = _Toys()


class ToyWork(LeasedWork[ToyClaim]):
    """The worker's side."""

    kind = TOYS

    def __init__(self, held: HeldLeases, made: list[str]) -> None:
        super().__init__(held)
        self._made = made

    def claim(self, session: Session) -> ToyClaim | None:
        return TOYS.claim(session, self._held.worker_id, self._held.seconds)

    def run(self, claim: ToyClaim, keeper: LeaseKeeper, tend: Tend) -> None:
        keeper.check()
        self._made.append(f"toy {claim.toy}")
        with self._database.session() as session:
            assert TOYS.finish(session, claim.lease_id)


class Urgent(WorkKind):
    """Has something to do at two looks of three."""

    def __init__(self, made: list[str]) -> None:
        self._made = made
        self._looks = 0

    def look(self, tend: Tend = nothing) -> bool:
        self._looks += 1
        if self._looks % 3 == 0:
            return False
        self._made.append("urgent")
        return True


@pytest.fixture
def toys(staged: Database) -> Iterator[Database]:
    with staged.session() as session:
        session.execute(
            text("""
                CREATE TABLE toys (id int PRIMARY KEY, lease_id bigint REFERENCES leases,
                    deaths int DEFAULT 0, done boolean DEFAULT false, unwanted boolean DEFAULT false)
            """)
        )
        session.execute(text("INSERT INTO toys (id) VALUES (1), (2)"))
    yield staged
    with staged.session() as session:
        session.execute(text("DROP TABLE toys"))


def _held(database: Database, settings: Settings, stop: StopFlag) -> HeldLeases:
    return HeldLeases(database, settings, "tester", stop)


def test_the_loop_does_what_there_is_and_asks_the_first_kind_again_after_each_piece(
    toys: Database, shared_settings: Settings
) -> None:
    made: list[str] = []
    stop, rings = StopFlag(), threading.Event()
    held = _held(toys, shared_settings, stop)
    kinds = (Urgent(made), ToyWork(held, made))
    loop = WorkLoop(
        kinds,
        database=toys,
        poll_seconds=60,
        ring=rings.set,
        stop=stop,
        give_back_owed=held.give_back_owed,
    )
    thread = threading.Thread(target=loop.run)
    thread.start()
    until(lambda: "toy 2" in made, "both are made")
    stop.ask(1)
    thread.join()
    assert made[:6] == ["urgent", "urgent", "toy 1", "urgent", "urgent", "toy 2"]
    with toys.session() as session:
        ended = session.execute(text("SELECT kind, outcome FROM leases ORDER BY id")).all()
    assert [tuple(row) for row in ended] == [("toy", "finished")] * 2


def test_the_reconciler_takes_back_what_a_dead_worker_had_and_rings(
    toys: Database, shared_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with toys.session() as session:
        late = TOYS.claim(session, "dead", lease_seconds=-1)
    assert late is not None
    monkeypatch.setattr(work_loop, "KINDS", (*KINDS, TOYS))
    made: list[str] = []
    stop, rung = StopFlag(), threading.Event()
    held = _held(toys, shared_settings, stop)
    loop = WorkLoop(
        (ToyWork(held, made),),
        database=toys,
        poll_seconds=60,
        ring=rung.set,
        stop=stop,
        give_back_owed=held.give_back_owed,
    )
    thread = threading.Thread(target=loop.run)
    thread.start()
    until(lambda: len(made) == 2, "both are made")
    stop.ask(1)
    thread.join()
    assert made == ["toy 1", "toy 2"]
    assert rung.is_set()
    with toys.session() as session:
        assert not TOYS.finish(session, late.lease_id)
        assert not pulse(session, TOYS, late.lease_id, lease_seconds=60).alive
        assert session.execute(text("SELECT deaths FROM toys WHERE id = 1")).scalar_one() == 1


def test_a_round_concerns_one_kind(toys: Database) -> None:
    with toys.session() as session:
        assert TOYS.claim(session, "dead", lease_seconds=-1) is not None
    with toys.session() as session:
        assert [reconcile(session, kind) for kind in KINDS] == [Reconciled()] * len(KINDS)
    with toys.session() as session:
        assert reconcile(session, TOYS) == Reconciled(1, 1, 0, 0)


def test_a_pulse_tells_what_is_not_wanted_any_more(toys: Database) -> None:
    with toys.session() as session:
        claim = TOYS.claim(session, "worker", lease_seconds=60)
        assert claim is not None
        assert pulse(session, TOYS, claim.lease_id, lease_seconds=60) == leases.Pulse(True, frozenset())
        session.execute(text("UPDATE toys SET unwanted = true"))
        heard = pulse(session, TOYS, claim.lease_id, lease_seconds=60)
    assert heard == leases.Pulse(True, frozenset({"1"}))


@pytest.mark.parametrize("reason", [LeaseLost(), Unavailable("database")])
def test_what_is_cut_short_is_given_back_at_no_charge(
    toys: Database, shared_settings: Settings, reason: Exception
) -> None:
    class CutShort(ToyWork):
        def run(self, claim: ToyClaim, keeper: LeaseKeeper, tend: Tend) -> None:
            raise reason

    work = CutShort(_held(toys, shared_settings, StopFlag()), [])
    if isinstance(reason, Unavailable):
        with pytest.raises(Unavailable):  # so that the loop rests
            work.look()
    else:
        assert work.look()
    with toys.session() as session:
        assert session.execute(text("SELECT outcome FROM leases")).scalars().all() == ["released"]
        assert session.execute(text("SELECT count(*) FROM toys WHERE lease_id IS NULL")).scalar_one() == 2


def test_nothing_is_taken_back_before_the_database_is_trusted(
    toys: Database, shared_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with toys.session() as session:
        assert TOYS.claim(session, "dead", lease_seconds=-1) is not None
    monkeypatch.setattr(work_loop, "KINDS", (*KINDS, TOYS))
    asked, trusted = threading.Event(), threading.Event()

    def may_judge() -> bool:
        asked.set()
        return trusted.is_set()

    made: list[str] = []
    stop = StopFlag()
    held = _held(toys, shared_settings, stop)
    loop = WorkLoop(
        (ToyWork(held, made),),
        database=toys,
        poll_seconds=0.05,
        ring=nothing,
        stop=stop,
        may_judge=may_judge,
        give_back_owed=held.give_back_owed,
    )
    thread = threading.Thread(target=loop.run)
    thread.start()
    assert asked.wait(60)
    until(lambda: "toy 2" in made, "the other one is made meanwhile")
    assert "toy 1" not in made
    trusted.set()
    until(lambda: "toy 1" in made, "it is taken back")
    stop.ask(1)
    thread.join()


def test_a_worker_that_stops_gives_back_what_it_owes_as_long_as_it_has_time(toys: Database) -> None:
    tries = 0

    def give_back() -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise Unavailable("database")

    stop = StopFlag()
    stop.ask(60)
    WorkLoop((), database=toys, poll_seconds=60, ring=nothing, stop=stop, give_back_owed=give_back).run()
    assert tries == 3


def test_what_is_in_hand_can_be_given_back_from_another_thread(
    toys: Database, shared_settings: Settings
) -> None:
    reached, gone = threading.Event(), threading.Event()

    class Stuck(ToyWork):
        def run(self, claim: ToyClaim, keeper: LeaseKeeper, tend: Tend) -> None:
            reached.set()
            assert gone.wait(60)

    work = Stuck(_held(toys, shared_settings, StopFlag()), [])
    thread = threading.Thread(target=work.look)
    thread.start()
    assert reached.wait(60)
    work.abandon()
    with toys.session() as session:
        again = TOYS.claim(session, "another", lease_seconds=60)
        assert again is not None
        assert again.toy == 1
        held = session.execute(text("SELECT outcome FROM leases ORDER BY id")).scalars().all()
    assert held == ["released", None]
    gone.set()
    thread.join()


def _network_in_hand(database: Database) -> int:
    with database.session() as session:
        register_network(session, RegisterNetwork(id="resnet18.a1_in1k"))
        claim = claim_inspection(session, "worker", lease_seconds=60)
    assert claim is not None
    return claim.lease_id


def _repair_in_hand(database: Database) -> int:
    with database.session() as session:
        chores.plan(session, "repair", "visualization:1")
        claim = chores.claim(session, "repair", "worker", lease_seconds=60)
    assert claim is not None
    return claim.lease_id


@pytest.mark.parametrize(
    ("kind", "table", "take"),
    [("inspection", "networks", _network_in_hand), ("repair", "work", _repair_in_hand)],
)
def test_a_lease_is_locked_before_what_it_holds(
    staged: Database, kind: str, table: str, take: Callable[[Database], int]
) -> None:
    lease_id = take(staged)
    with staged.session() as holder:
        holder.execute(text("SELECT 1 FROM leases WHERE id = :id FOR NO KEY UPDATE"), {"id": lease_id})
        acting = Acting(staged, lambda session: BY_NAME[kind].give_back(session, lease_id))
        acting.until_it_waits_for(pid_of(holder))
        with staged.session() as other:
            held = text(f"SELECT 1 FROM {table} WHERE lease_id = :id FOR UPDATE NOWAIT")
            other.execute(held, {"id": lease_id}).one()
    acting.end()
    with staged.session() as session:
        free = text(f"SELECT count(*) FROM {table} WHERE lease_id IS NOT NULL")
        assert session.execute(free).scalar_one() == 0


def test_every_kind_has_a_name_of_its_own() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS)
