"""What a page says of how a picture was made: its recipe, where and when it was computed, how two differ."""

from collections.abc import Mapping, Sequence
from typing import Any

from api.web.filters import duration, figure, first_name, moment, percent
from api.web.pages.units.figures import SeenClass
from imago_engine.artifacts import ArtifactKind
from imago_engine.techniques import all_techniques
from services.atlases.progress import Version
from services.base.storage import sha256_of_key
from services.pictures.visualizations import Visualization

Facts = Sequence[tuple[str, object]]


def value(parameter: Any) -> str:
    """A parameter as people write it."""
    if parameter is None:
        return "the network's own"
    if isinstance(parameter, bool):
        return "yes" if parameter else "no"
    return f"{parameter:.6g}" if isinstance(parameter, float) else str(parameter)


def named(parameter: str) -> str:
    """A parameter's name as the form has it: `learning_rate` is Learning rate."""
    return parameter.replace("_", " ").capitalize()


def defaults(technique: str) -> Mapping[str, Any]:
    """What a technique's parameters are by default; nothing for one that is no more."""
    known = all_techniques().get(technique)
    return {} if known is None else known.settled({})


def parameters(found: Visualization) -> tuple[Facts, Facts]:
    """Those that differ from the technique's defaults, and the others."""
    usual = defaults(found.spec.technique)
    differ: list[tuple[str, object]] = []
    same: list[tuple[str, object]] = []
    for name, set_to in found.spec.parameters.items():
        (same if name in usual and usual[name] == set_to else differ).append((named(name), value(set_to)))
    return differ, same


def recipe(found: Visualization) -> Facts:
    """What determines the picture, in short."""
    spec = found.spec
    return [
        ("Technique", f"{spec.technique}, version {spec.version}"),
        ("Seed", spec.seed),
        ("Generator", found.generator),
    ]


def in_a_line(found: Visualization) -> Sequence[str]:
    """How it was made in the few words that matter: by what, from what, how long, on what."""
    told, spec = found.provenance or {}, found.spec
    steps, size = spec.parameters.get("steps"), spec.parameters.get("input_size")
    said = [
        spec.technique,
        found.generator,
        None if steps is None else f"{steps} steps",
        f"seed {spec.seed}",
        None if size is None else f"seen at {size} px",
        told.get("device"),
        _took(told.get("batch_seconds"), told.get("batch_size")),
    ]
    return [str(words) for words in said if words]


_MOVING = ("jitter", "zoom", "rotation", "scale")
"""Parameters that let an ascent look at views of the picture, and what they are where it does not."""
_UNMOVED = (None, 0, 1)


def moves_views(found: Visualization) -> bool:
    """Whether the ascent looked at moved views of the picture instead of the whole, so that what it measured
    on its way is not what is measured of the picture."""
    return any(found.spec.parameters.get(name) not in _UNMOVED for name in _MOVING)


def in_short(found: Visualization, beside: Visualization | None = None, *, named: bool = True) -> str:
    """A recipe in a few words, with the technique where it is to be `named`; with `beside` what of it is
    another there."""
    words = [found.spec.technique] if named else []
    if beside is not None and beside.spec.technique == found.spec.technique:
        differ = [
            f"{name.replace('_', ' ')} {value(set_to)}"
            for name, set_to in found.spec.parameters.items()
            if beside.spec.parameters.get(name) != set_to
        ]
        if found.generator != beside.generator and found.generator:
            differ.insert(0, found.generator)
        words += differ[:2]
        words += [f"{len(differ) - 2} more"] if len(differ) > 2 else []
    if beside is None or found.spec.seed != beside.spec.seed or len(words) == named:
        words.append(f"seed {found.spec.seed}")
    return " · ".join(words)


Rows = Sequence[tuple[str, str, str]]
Labels = Sequence[SeenClass]


def differences(
    one: Visualization, other: Visualization, seen_one: Labels, seen_other: Labels
) -> tuple[Rows, Rows]:
    """What differs between two pictures and how they came to be: a name, and what it is of each. Apart, the
    parameters that only one of the techniques has. `seen_…`: what the network sees in each."""
    rows = [
        ("Technique", one.spec.technique, other.spec.technique),
        ("Version", one.spec.version, other.spec.version),
        ("Generator", one.generator or "none", other.generator or "none"),
        ("Seed", str(one.spec.seed), str(other.spec.seed)),
    ]
    of_one: list[tuple[str, str, str]] = []
    for name in dict.fromkeys([*one.spec.parameters, *other.spec.parameters]):
        here, there = (
            value(found.spec.parameters[name]) if name in found.spec.parameters else "—"
            for found in (one, other)
        )
        is_shared = name in one.spec.parameters and name in other.spec.parameters
        (rows if is_shared else of_one).append((named(name), here, there))
    always = [
        ("Activation", _figure(one.activation), _figure(other.activation)),
        ("Seen as", _surest(one, seen_one), _surest(other, seen_other)),
    ]
    return [*always, *(row for row in rows if row[1] != row[2])], of_one


def computed(found: Visualization, version: Version | None = None) -> Facts:
    """Where, when and how long it was computed. `version`: that of an atlas which has it; an imported one
    says from where."""
    told = found.provenance or {}
    seconds, batch = told.get("batch_seconds"), told.get("batch_size")
    origin = None if version is None else version.request.get("imported")
    imported_from = origin.get("atlas") if isinstance(origin, Mapping) else "another service"
    return [
        ("Computed on", told.get("device")),
        ("Precision", told.get("dtype")),
        ("Torch", told.get("torch")),
        ("Took", _took(seconds, batch)),
        ("Finished", None if found.finished_at is None else moment(found.finished_at)),
        ("Imported from", imported_from if "imported" in told else None),
        ("Steps skipped", told.get("skipped_steps") or None),
    ]


def hashes(found: Visualization) -> Facts:
    """By what the picture and what it was made of can be recognized."""
    spec, image = found.spec, found.artifacts.get(ArtifactKind.IMAGE)
    return [
        ("Digest", found.digest),
        ("Network", spec.network_sha256),
        ("Generator's file", spec.source),
        ("Picture", None if image is None else sha256_of_key(image.object)),
    ]


def _took(seconds: object, batch: object) -> str | None:
    if not isinstance(seconds, int | float):
        return None
    together = f" for {batch} pictures together" if isinstance(batch, int) and batch > 1 else ""
    return f"{duration(seconds) if seconds >= 10 else f'{seconds:.2g} s'}{together}"


def _surest(found: Visualization, seen: Labels) -> str:
    """The class that the network sees in a picture, and how surely."""
    if not found.predictions:
        return "—"
    return f"{first_name(seen[0].label)}, {percent(seen[0].share)}" if seen else "no class"


def _figure(activation: float | None) -> str:
    return "—" if activation is None else figure(activation)
