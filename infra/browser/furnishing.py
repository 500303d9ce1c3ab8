"""An imago with something to see: the small atlas, its pictures indexed, and a job."""

import time
from pathlib import Path

import imago

NETWORK = "efficientnet_lite0.imagenet"
SMALL_ATLAS = Path(__file__).resolve().parents[2] / "docs" / "small-atlas"
PHOTOGRAPH = SMALL_ATLAS / "images" / "classifier" / "00980-0.webp"
"""What the unit 980 wants to see: nothing excites it as this does."""
_PAUSE_SECONDS = 0.5


def furnish(client: imago.Client, patience: float) -> str:
    """Import the small atlas for everybody to read, submit a job of a cheap picture; returns the atlas's id.

    Needs a worker, and a key that may do everything. Waits `patience` seconds at most for the network.
    """
    client.wait_for_network(NETWORK, timeout=patience)
    atlas = client.atlases.load(SMALL_ATLAS)
    atlas.change(visibility="public")
    client.submit(NETWORK, ["classifier/980"], parameters={"steps": 1})
    return str(atlas.id)


def furnish_answers(client: imago.Client, atlas: str, patience: float) -> dict[str, str]:
    """Have the atlas compared with another one, of a few of its units, and a photograph looked at; returns by
    their kinds the pages of both, to which no other leads.

    The other atlas is not published, so that pages of the network go on showing the first one.
    """
    other = client.atlases.create(
        NETWORK,
        name="Three units in one step",
        layers="classifier",
        units="0,7,14",
        parameters={"steps": 1},
        visibility="public",
    )
    other.wait(timeout=patience)
    wait_for_index(client, patience)
    a, b = f"{atlas}@1", f"{other.id}@open"
    client.compare(a, b).wait(patience)
    photograph = client.excites(PHOTOGRAPH, NETWORK, "classifier", timeout=patience)
    return {"compare/*": f"/compare?a={a}&b={b}", "search/photograph": f"/search?photograph={photograph.id}"}


def wait_for_index(client: imago.Client, patience: float) -> None:
    """Until a worker has looked at all pictures, so that units know what is like them, or `TimeoutError`."""
    unit = client.unit(f"{NETWORK}/classifier/980")
    deadline = time.monotonic() + patience
    while not _is_complete(unit):
        if time.monotonic() > deadline:
            raise TimeoutError(f"the pictures were not indexed within {patience:.0f} s")
        time.sleep(_PAUSE_SECONDS)


def _is_complete(unit: imago.Unit) -> bool:
    try:
        return unit.neighbours(within="network").complete
    except imago.NotFound:
        return False
