"""Wait for a network that no worker has inspected yet."""

from imago.cli.session import Session
from imago.records import Network


def wait_until_inspected(session: Session, network: str) -> Network:
    """The network once it is ready; says what is waited for. Ctrl-C ends the waiting.

    Raises ImagoError if it failed, NotFound if it is not registered, WaitTimeout if no worker comes.
    """
    found = session.client.network(network)
    if found.awaits_inspection and not session.as_json:
        session.remark(f"{network} is still to be inspected by a worker; waiting for it…")
    return session.client.wait_for_network(network)
