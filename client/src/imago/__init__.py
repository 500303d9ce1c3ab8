"""Python client of imago: submit jobs, watch them, and use the pictures that neurons want to see.

    import imago

    client = imago.Client("http://127.0.0.1:8000", key="imago_…")
    job = client.submit("efficientnet_lite0.imagenet", ["output/0-11,207"])
    for visualization in job.results():          # each picture as soon as it is finished
        visualization.save("pictures/")

`Client()` without arguments takes the address and key from IMAGO_URL and IMAGO_API_KEY, or else from what
`imago login` stored.
"""

from imago.atlases.atlas import Atlas
from imago.atlases.unit import AtlasUnit
from imago.client import Client
from imago.errors import (
    Conflict,
    FieldError,
    ImagoError,
    InvalidRequest,
    NotAuthorized,
    NotFound,
    Unavailable,
    Unreachable,
    WaitTimeout,
)
from imago.exemplars.exemplar import Exemplar, UnitStatistics
from imago.exemplars.scans import Scan
from imago.exports.checking import DamagedExport
from imago.exports.opening import ExportedAtlas, Match, open
from imago.jobs import Job, Units
from imago.records import Generator, Layer, Network, Prediction, Preset, Queue, Technique
from imago.search.comparison import ComparedLayer, ComparedUnit, Comparison
from imago.search.found import Change, Excitation, Excited, Found, Neighbour, Neighbours
from imago.targets import Target
from imago.trainings import Training, TrainingSample
from imago.version import __version__
from imago.visualizations import Unit, Visualization

__all__ = [
    "Atlas",
    "AtlasUnit",
    "Change",
    "Client",
    "ComparedLayer",
    "ComparedUnit",
    "Comparison",
    "Conflict",
    "DamagedExport",
    "Excitation",
    "Excited",
    "Exemplar",
    "ExportedAtlas",
    "FieldError",
    "Found",
    "Generator",
    "ImagoError",
    "InvalidRequest",
    "Job",
    "Layer",
    "Match",
    "Neighbour",
    "Neighbours",
    "Network",
    "NotAuthorized",
    "NotFound",
    "Prediction",
    "Preset",
    "Queue",
    "Scan",
    "Target",
    "Technique",
    "Training",
    "TrainingSample",
    "Unavailable",
    "Unit",
    "UnitStatistics",
    "Units",
    "Unreachable",
    "Visualization",
    "WaitTimeout",
    "__version__",
    "open",
]
