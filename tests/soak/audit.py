"""What the database itself notes of every item while it is under fire: each state that it left, and under
which lease. Whoever changes a row, rightly or not, is seen.
"""

from dataclasses import dataclass

from sqlalchemy import text

from services.base.database import Database

_INSTALL = """
    CREATE TABLE soak_history (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        digest text NOT NULL, before text NOT NULL, after text NOT NULL, lease_id bigint
    );
    CREATE FUNCTION soak_note() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO soak_history (digest, before, after, lease_id)
        VALUES (NEW.digest, OLD.state, NEW.state, NEW.lease_id);
        RETURN NULL;
    END $$;
    CREATE TRIGGER soak_note AFTER UPDATE ON visualizations FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state OR OLD.lease_id IS DISTINCT FROM NEW.lease_id)
    EXECUTE FUNCTION soak_note();
"""
_FAULTS = {
    "an item that was done and is not any more": """
        SELECT digest, after FROM soak_history WHERE before = 'done' AND after <> 'done'""",
    "an item that became done twice": """
        SELECT digest, count(*) FROM soak_history WHERE before <> 'done' AND after = 'done'
        GROUP BY digest HAVING count(*) > 1""",
    "an item whose fences do not increase": """
        SELECT digest, lease_id, earlier FROM (
            SELECT digest, lease_id, lag(lease_id) OVER (PARTITION BY digest ORDER BY number) AS earlier
            FROM soak_history WHERE after = 'leased' AND before <> 'leased'
        ) AS fences WHERE lease_id <= earlier""",
}
_CLAIMED = "SELECT count(*) FROM soak_history WHERE after = 'leased' AND before <> 'leased'"
_LAPSED = """
    SELECT count(*) AS leases, coalesce(sum(items - settled), 0) AS items
    FROM leases WHERE kind = 'batch' AND outcome = 'expired'
"""


@dataclass(frozen=True)
class Audit:
    """`claimed` items in all, `lapsed_items` of them in `lapsed_leases`: at most these were computed for
    nothing. `faults` are lines, none where all is well.
    """

    claimed: int
    lapsed_leases: int
    lapsed_items: int
    faults: list[str]


def install(database: Database) -> None:
    """Note from now on what becomes of each item."""
    with database.session() as session:
        session.execute(text(_INSTALL))


def audit(database: Database) -> Audit:
    """What the notes say."""
    faults = []
    with database.session() as session:
        for name, wrong in _FAULTS.items():
            if rows := session.execute(text(wrong)).all():
                faults.append(f"{name}: {len(rows)}, for instance {rows[:5]}")
        claimed = int(session.execute(text(_CLAIMED)).scalar_one())
        lapsed = session.execute(text(_LAPSED)).one()
    return Audit(claimed, int(lapsed.leases), int(lapsed.items), faults)
