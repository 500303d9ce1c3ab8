"""How many of the nearest units the approximate index finds, beside an exact search."""

from sqlalchemy import text

from imago_engine.weights import EYE
from services.base.database import Database
from services.search.neighbours import Scope, nearest
from services.search.tables import as_text

NEAREST, QUESTIONS = 20, 40
# Every hundredth row is a question's at most: the table is read in no order.
_ASKED = text("""
    SELECT vector, network_id, layer, unit FROM embeddings WHERE eye = :eye AND network_id = :network
    AND digest >= :after ORDER BY digest LIMIT 1
""")
_EXACT = text("""
    WITH pool AS MATERIALIZED (
        SELECT digest, vector <=> CAST(:vector AS halfvec) AS distance FROM embeddings WHERE eye = :eye
    )
    SELECT digest FROM pool ORDER BY distance, digest LIMIT :most
""")


def recall(database: Database, network: str) -> float:
    """The share of the exactly nearest pictures that are found, over some units of a network."""
    found, wanted = 0, 0
    for number in range(QUESTIONS):
        with database.session() as session:
            after = f"{number * 256 // QUESTIONS:02x}"
            row = session.execute(_ASKED, {"eye": EYE, "network": network, "after": after}).one()
            vector = tuple(map(float, row.vector.strip("[]").split(",")))
            session.execute(text("SET LOCAL statement_timeout = 0"))
            asked = {"vector": as_text(vector), "eye": EYE, "most": NEAREST}
            exact = {each.digest for each in session.execute(_EXACT, asked)}
            near = nearest(session, vector, Scope(None, None), limit=NEAREST)
            found += len(exact & {each.digest for each in near})
            wanted += len(exact)
    return found / wanted
