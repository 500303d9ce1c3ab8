"""An imago with something to see: the small atlas, its pictures indexed, and a job."""

import time
from pathlib import Path

import imago

NETWORK = "efficientnet_lite0.imagenet"
SMALL_ATLAS = Path(__file__).resolve().parents[2] / "docs" / "small-atlas"
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
