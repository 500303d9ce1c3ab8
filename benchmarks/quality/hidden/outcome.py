"""What became of hidden units, and how many of them are reached."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from imago_engine.synthesis.climb import ROUNDING

Found = Mapping[tuple[str, str], Sequence["Seen"]]
"""By network and layer."""


@dataclass(frozen=True)
class Seen:
    """What became of one unit."""

    unit: int
    best: float
    """The activation of the best prototype."""
    activation: float
    status: str

    @property
    def excited(self) -> bool:
        """Whether any prototype's picture excites it more than nothing."""
        return self.best > 0

    @property
    def reached(self) -> bool:
        """Whether it ended `done` at or above its best prototype."""
        return self.status == "done" and self.activation >= self.best - ROUNDING * abs(self.best)


def summary(found: Found, units: int) -> dict[str, object]:
    """`{"wanted_a_layer", "units", "excited", "done", "reached", "share", "unreachable", "missed", "layers":
    […]}`; `missed` names those of the excited that are not reached.
    """
    every = [seen for each in found.values() for seen in each]
    layers = [
        {"network": network, "layer": layer, **counts(seen)} for (network, layer), seen in found.items()
    ]
    missed = [
        {
            "network": network,
            "layer": layer,
            "unit": one.unit,
            "best": one.best,
            "activation": one.activation,
            "status": one.status,
        }
        for (network, layer), seen in found.items()
        for one in seen
        if one.excited and not one.reached
    ]
    return {"wanted_a_layer": units, **counts(every), "missed": missed, "layers": layers}


def counts(seen: Sequence[Seen]) -> dict[str, int | float | None]:
    """`reached` and `share` are of those units that any prototype excites."""
    excited = [one for one in seen if one.excited]
    reached = sum(one.reached for one in excited)
    return {
        "units": len(seen),
        "excited": len(excited),
        "done": sum(one.status == "done" for one in seen),
        "reached": reached,
        "share": reached / len(excited) if excited else None,
        "unreachable": sum(one.status == "unreachable" for one in seen),
    }


def table(found: Found) -> str:
    """Markdown, a line a layer."""
    lines = ["| network | layer | units | excited | done | at or above the best prototype | unreachable |"]
    lines.append("|---" * 7 + "|")
    every = [one for each in found.values() for one in each]
    for (network, layer), seen in [*found.items(), (("all", ""), every)]:
        row = counts(seen)
        cells = [
            network,
            layer,
            *(row[key] for key in ("units", "excited", "done", "reached", "unreachable")),
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)
