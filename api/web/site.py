"""What all pages have in common: their blueprint, how they are rendered, and what every template knows."""

from dataclasses import dataclass
from http import HTTPStatus

from flask import Blueprint, Response, make_response, redirect, render_template, request

from api.web import filters
from api.web.addresses import Addresses, ServerAddresses
from api.web.modules import imports_of
from imago_engine.artifacts import SMALL_BELOW
from services.search.labels import CLEAR

blueprint = Blueprint(
    "pages", __name__, template_folder="templates", static_folder="static", static_url_path="/static"
)
filters.register(blueprint)

DESCRIPTION = "What the neurons of vision networks want to see, as pictures."


@dataclass(frozen=True)
class Entry:
    """An entry of the navigation: the page's name and what it is called."""

    name: str
    title: str


NAVIGATION = (
    Entry("networks", "Networks"),
    Entry("atlases", "Atlases"),
    Entry("search", "Search"),
    Entry("compare", "Compare"),
    Entry("jobs", "Jobs"),
    Entry("generators", "Generators"),
)
FOOTER = (
    Entry("queue", "Queue and workers"),
    Entry("trainings", "Trainings"),
    Entry("docs", "API reference"),
)


def page(template: str, *, section: str | None = None, status: int = 200, **shown: object) -> Response:
    """A page. `section`: the entry of the navigation that it belongs to.

    Pages show what changes and what not everybody may see, so no cache keeps them.
    """
    response = make_response(render_template(template, section=section, **shown), status)
    response.headers["Cache-Control"] = "no-store"
    return response


def see(path: str) -> Response:
    """To the page that shows what came of a form; 303, so that it is fetched by GET."""
    response = make_response(redirect(path, HTTPStatus.SEE_OTHER))
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.app_context_processor
def _known_to_every_template() -> dict[str, object]:
    address: Addresses = ServerAddresses()
    return {
        "address": address,
        "navigation": NAVIGATION,
        "footer": FOOTER,
        "default_description": DESCRIPTION,
        "small_below": SMALL_BELOW,
        "clear_from": CLEAR,
        "imports_of": imports_of,
        "origin": request.host_url.rstrip("/"),
    }
