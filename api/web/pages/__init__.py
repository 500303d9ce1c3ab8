"""The pages, one module each or a family of them. Importing this registers them with the blueprint."""

from api.web.pages import (
    account,
    atlas,
    atlas_form,
    atlases,
    compare,
    design,
    generators,
    home,
    jobs,
    maps,
    queue,
    reference,
    sheets,
)
from api.web.pages.networks import layer, network, networks
from api.web.pages.search import page as search
from api.web.pages.trainings import form as training_form
from api.web.pages.trainings import page as trainings
from api.web.pages.units import page as units
from api.web.site import blueprint

__all__ = [
    "account",
    "atlas",
    "atlas_form",
    "atlases",
    "blueprint",
    "compare",
    "design",
    "generators",
    "home",
    "jobs",
    "layer",
    "maps",
    "network",
    "networks",
    "queue",
    "reference",
    "search",
    "sheets",
    "training_form",
    "trainings",
    "units",
]
