"""Routes that describe the service: `/` (links), `/openapi.json`, `/docs` (as a page), `/metrics`."""

from flask import Blueprint, Response, current_app, jsonify, request

from api.context import context
from api.http.caching import BRIEF_FROM_MEMORY, conditional
from api.monitoring.prometheus import CONTENT_TYPE
from api.openapi import document
from api.web.pages.home import home
from api.web.pages.reference import reference as page_of_reference
from imago_engine.version import __version__

blueprint = Blueprint("discovery", __name__)

COLLECTIONS = (
    "networks",
    "generators",
    "trainings",
    "scans",
    "presets",
    "techniques",
    "jobs",
    "visualizations",
    "queue",
    "me",
    "keys",
)


@blueprint.get("/")
def entrance() -> Response:
    """What is here: for programs as JSON, for browsers as a page."""
    if request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html":
        response = home()
    else:
        response = jsonify(
            {
                "object": "service",
                "name": "imago",
                "version": __version__,
                "links": {
                    "self": "/",
                    "openapi": "/openapi.json",
                    "docs": "/docs",
                    "health": "/healthz",
                    "readiness": "/readyz",
                    "metrics": "/metrics",
                    **{name: f"/v1/{name}" for name in COLLECTIONS},
                },
            }
        )
    response.headers["Vary"] = "Accept"
    return response


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """The OpenAPI document of this service."""
    text = document.canonical(document.document(current_app))
    return conditional(Response(text, mimetype="application/json"), BRIEF_FROM_MEMORY)


@blueprint.get("/docs")
def reference() -> Response:
    """The OpenAPI document as a page."""
    return conditional(page_of_reference(document.document(current_app)), BRIEF_FROM_MEMORY)


@blueprint.get("/metrics")
def metrics() -> Response:
    """Figures for Prometheus."""
    response = Response(context().metrics.render(), content_type=CONTENT_TYPE)
    response.headers["Cache-Control"] = "no-store"
    return response
