"""What the client's command line says of the fields of requests, as JSON.

The client imports nothing of ours; `make openapi` writes this into it, so that nothing is described twice.
"""

import json

from pydantic import BaseModel

from imago_engine.techniques import BaseParameters
from imago_engine.trainings import EncoderRequest
from services.atlases.atlas_request import AtlasRequest
from services.exemplars.request import ScanRequest
from services.jobs.job_request import JobRequest, RecipeRequest
from services.trainings.request import TrainingRequest

MODELS: dict[str, type[BaseModel]] = {
    "atlas": AtlasRequest,
    "encoder": EncoderRequest,
    "job": JobRequest,
    "parameters": BaseParameters,
    "recipe": RecipeRequest,
    "scan": ScanRequest,
    "training": TrainingRequest,
}


def client_help() -> str:
    """Sentences by the name of the model, then of the field; what JSON calls null is an option left out."""
    found = {
        name: {
            field: f"{about.description.replace('; null for ', '; by default ')}."
            for field, about in model.model_fields.items()
            if about.description
        }
        for name, model in MODELS.items()
    }
    return json.dumps(found, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
