"""What can be known of a training before it begins. Reads the catalog, writes nothing."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from sqlalchemy.orm import Session

from imago_engine.trainings import DEFAULT_PRESET, PRESETS, Preset
from services.access.data_root import missing_sources
from services.base.errors import FieldError, Invalid, NotFound, field_errors
from services.base.times import not_in_the_future
from services.catalog.generators import get_generator
from services.catalog.layers import Layer, get_layer, map_at
from services.catalog.networks import Network, get_network
from services.trainings.request import TrainingRequest


def settled(
    session: Session, request: TrainingRequest, data_root: Path | None, wrong: list[FieldError]
) -> dict[str, Any]:
    """The request as JSON, with layers as the catalog calls them.

    `data_root`: where this process sees the workers' pictures, if it does. Raises `Invalid` with everything
    that is wrong, `wrong` first.
    """
    found = request.model_dump(mode="json")
    not_taken = check_preset(request)
    errors = [*wrong, *not_taken, *_schedule(request), *_sources(request, data_root)]
    encoder = request.encoder
    network, unusable = _network(session, encoder.network, "/training/encoder/network")
    errors += unusable
    if network is not None:
        layer, unknown = _layer(session, network, encoder.layer, "/training/encoder/layer")
        errors += unknown
        if layer is not None:
            found["encoder"]["layer"] = layer.name
            errors += _size(request, network, found["encoder"])
            errors += _grid(request, network, layer)
            errors += _warm_start(session, request, network, layer)
        if not not_taken:
            errors += _comparator(session, request, network, found)
            errors += _second_network(session, request)
    if errors:
        raise Invalid(errors)
    return found


def preset_of(request: TrainingRequest) -> Preset | None:
    """None if the preset is unknown."""
    return PRESETS.get(request.preset or DEFAULT_PRESET)


def check_preset(request: TrainingRequest) -> list[FieldError]:
    """What the preset does not take, with pointers into the body of the request."""
    preset = preset_of(request)
    if preset is None:
        accepted = ", ".join(PRESETS)
        return [FieldError("/training/preset", f"must be one of {accepted}; got {request.preset!r}")]
    errors = []
    if request.image_size is not None and request.image_size not in preset.image_sizes:
        sizes = " or ".join(map(str, preset.image_sizes))
        detail = f"must be {sizes} with preset {preset.id}; got {request.image_size}"
        errors.append(FieldError("/training/image_size", detail))
    least, most = preset.feature_sizes
    if request.feature_size is not None and not least <= request.feature_size <= most:
        detail = f"must be {least} to {most} with preset {preset.id}; got {request.feature_size}"
        errors.append(FieldError("/training/feature_size", detail))
    try:
        preset.options.model_validate(request.options)
    except ValidationError as error:
        errors += field_errors(error, "training", "options", known=preset.options.model_fields)
    return errors


def _schedule(request: TrainingRequest) -> list[FieldError]:
    errors = []
    if request.pictures is None and request.until is None and request.preset is None:
        errors.append(
            FieldError("/training/pictures", "is required unless until or a preset says when to end")
        )
    if request.until is not None and (past := not_in_the_future(request.until)):
        errors.append(FieldError("/training/until", past))
    return errors


def _sources(request: TrainingRequest, data_root: Path | None) -> list[FieldError]:
    return [
        FieldError(f"/training/sources/{index}", detail)
        for index, detail in missing_sources(request.sources, data_root).items()
    ]


def _network(session: Session, id: str, where: str) -> tuple[Network | None, list[FieldError]]:
    """A network that the training can load by its id."""
    try:
        network = get_network(session, id)
    except NotFound as error:
        return None, [FieldError(where, str(error))]
    if network.state != "ready":
        detail = f"{network.id!r} is {network.state}" + (f": {network.error}" if network.error else "")
        return None, [FieldError(where, f"{detail}; it can be used once it is ready")]
    if network.inspection_due:
        return None, [FieldError(where, f"{network.id!r} is to be inspected again; try again in a moment")]
    if network.stated.keys() - {"labels"}:
        detail = (
            f"{network.id!r} has a mean, std, size or channels of its own; only networks that are as their"
        )
        return None, [FieldError(where, f"{detail} source has them can be used")]
    if network.source == "file":
        detail = f"{network.id!r} is a file of weights; only networks known by their id can be used"
        return None, [FieldError(where, detail)]
    return network, []


def _layer(
    session: Session, network: Network, name: str, where: str
) -> tuple[Layer | None, list[FieldError]]:
    try:
        return get_layer(session, network.id, name), []
    except NotFound as error:
        return None, [FieldError(where, str(error))]


def _size(request: TrainingRequest, network: Network, settled: dict[str, Any]) -> list[FieldError]:
    """The encoder runs at the size that is asked for, else at the preset's where it can, else at its own,
    which `settled` then gets."""
    asked, preset = request.encoder.input_size, preset_of(request)
    if asked is not None and not network.runs_at(asked):
        detail = f"must be a size that {network.id} runs at: {network.sizes_accepted()}; got {asked}"
        return [FieldError("/training/encoder/input_size", detail)]
    usual = None if preset is None else preset.defaults["input_size"]
    if asked is None and usual is not None and not network.runs_at(usual):
        settled["input_size"] = network.own_size
    return []


def _grid(request: TrainingRequest, network: Network, layer: Layer) -> list[FieldError]:
    """A grid has at most as many places as the layer's map, where the catalog can tell how many these are."""
    grid, where = request.encoder.grid, "/training/encoder/grid"
    if grid is None:
        return []
    if layer.spatial is None:
        return [FieldError(where, f"must be null: layer {layer.name!r} has no places to average")]
    preset, own_size = preset_of(request), network.own_size
    if preset is None or own_size is None:
        return []
    input_size = request.encoder.input_size or preset.defaults["input_size"] or own_size
    if not network.runs_at(input_size):
        input_size = own_size
    most = map_at(layer, own_size, input_size).most
    if most is None or grid <= min(most):
        return []
    return [
        FieldError(
            where,
            f"must be at most {min(most)}, the places of layer {layer.name!r} at {input_size} pixels; "
            f"got {grid}",
        )
    ]


def _warm_start(
    session: Session, request: TrainingRequest, network: Network, layer: Layer
) -> list[FieldError]:
    """Whether the generator could be trained on as this one. How much of it fits is for the worker to see."""
    if request.warm_start is None:
        return []
    where, preset = "/training/warm_start", preset_of(request)
    try:
        generator = get_generator(session, request.warm_start)
        if not generator.is_here:
            return [
                FieldError(where, f"is known by imported pictures alone: {generator.id} has no file here")
            ]
    except NotFound as error:
        return [FieldError(where, str(error))]
    named = f"generator {generator.id!r}"
    if generator.encoder != network.id:
        return [FieldError(where, f"must invert {network.id}; {named} inverts {generator.encoder}")]
    weights = generator.info.get("encoder_sha256", network.weights_sha256)
    if weights != network.weights_sha256:
        return [FieldError(where, f"must invert {network.id} as it is now; {named} inverts other weights")]
    if preset is not None and generator.architecture not in preset.architectures:
        kinds = " or ".join(preset.architectures)
        detail = f"must be of architecture {kinds}, as the preset trains; {named} is {generator.architecture}"
        return [FieldError(where, detail)]
    if generator.code_shape[0] != layer.units:
        detail = f"must have codes of {layer.units} units, as layer {layer.name!r}; {named} has codes of "
        return [FieldError(where, f"{detail}{generator.code_shape[0]}")]
    return []


def _second_network(session: Session, request: TrainingRequest) -> list[FieldError]:
    """The network that judges pictures as well, at the size at which the discriminator looks at them."""
    named, preset, where = request.options.get("second_network"), preset_of(request), "/training/options"
    if named is None or preset is None:
        return []
    network, errors = _network(session, named, f"{where}/second_network")
    size = request.feature_size or preset.defaults["feature_size"]
    if network is not None and not network.runs_at(size):
        detail = (
            f"must run at the {size} pixels at which pictures are judged (feature_size); {network.id} takes "
            f"{network.sizes_accepted()}"
        )
        errors = [FieldError(f"{where}/second_network", detail)]
    return errors


def _comparator(
    session: Session, request: TrainingRequest, encoder: Network, found: dict[str, Any]
) -> list[FieldError]:
    """The network in whose features pictures are compared, and its layer, which `found` gets by its name."""
    options, where = request.options, "/training/options/comparator"
    network = encoder
    if options.get("comparator") is not None:
        named, errors = _network(session, options["comparator"], where)
        if named is None:
            return errors
        network = named
    if options.get("comparator_layer") is None:
        return []
    layer, errors = _layer(session, network, options["comparator_layer"], f"{where}_layer")
    if layer is not None:
        found["options"]["comparator_layer"] = layer.name
    return errors
