"""The HTTP API. Parses a request, calls one function of `services`, renders what it returns. Never imports
torch.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from services.base.settings import Settings


def create_app(settings: "Settings") -> "Flask":
    """The application, for any WSGI server."""
    # Not at the top: prometheus_client decides when it is imported whether processes count together, and
    # `python -m api` imports this package before it has read how many there will be.
    from api.application import create_app

    return create_app(settings)
