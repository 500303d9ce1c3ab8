"""The client: one object for one server."""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from imago.atlases.atlases import Atlases
from imago.atlases.words import listed
from imago.connection import resolve
from imago.errors import ImagoError
from imago.events.waiting import Wait
from imago.exemplars.scans import Scan
from imago.jobs import Job
from imago.records import Generator, Layer, Network, Preset, Queue, Technique
from imago.search.requests import Searches
from imago.targets import Targets, collect, parse_unit
from imago.trainings import Training
from imago.transport import Json, Parameters, Transport, path_to
from imago.visualizations import Unit, Visualization


class Client(Searches):
    """A connection to one imago server; threads may share it, and `with` closes it.

    url, key: by default from IMAGO_URL and IMAGO_API_KEY, or else what `imago login` stored.
    timeout: seconds without a byte after which an answer is given up. Lost connections, 429 and 503 are tried
    again for about 15 seconds before they become exceptions; waits, which have a `timeout` of their own, try
    for two minutes.
    """

    def __init__(self, url: str | None = None, key: str | None = None, *, timeout: float = 30.0) -> None:
        connection = resolve(url, key)
        self.url = connection.url
        self._transport = Transport(
            connection.url, connection.key, key_from=connection.key_from, timeout=timeout
        )

    def __repr__(self) -> str:
        return f"<imago.Client {self.url}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    @property
    def atlases(self) -> Atlases:
        """Atlases: the pictures of whole networks."""
        return Atlases(self._transport)

    @property
    def transport(self) -> Transport:
        """The connection itself, for paths of the API that this class has no method for."""
        return self._transport

    # What can be explained, and how

    def networks(self) -> list[Network]:
        """The networks that can be explained."""
        return [Network.read(raw) for raw in self._transport.entries(path_to("networks"))]

    def network(self, id: str) -> Network:
        """One network, with the names of its classes."""
        return Network.read(self._transport.get(path_to("networks", id)))

    def add_network(
        self,
        id: str,
        *,
        source: str | None = None,
        architecture: str | None = None,
        weights: str | None = None,
        classes: int | None = None,
        labels: Sequence[str] | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        input_size: int | None = None,
        channels: str | None = None,
    ) -> Network:
        """Register a network, such as `resnet18.IMAGENET1K_V1`; a worker then inspects it (state `pending`).

        source: `efficientnet-lite`, `torchvision`, `timm` or `file`; only a file needs architecture and
        weights. labels (one a class), mean and std (red, green, blue, for pixels from 0 to 1), input_size
        (pixels) and channels (`rgb` or `bgr`) say what its source does not know; they are part of what its
        pictures are named by.
        """
        given = {
            "source": source,
            "architecture": architecture,
            "weights": weights,
            "classes": classes,
            "labels": None if labels is None else list(labels),
            "mean": None if mean is None else list(mean),
            "std": None if std is None else list(std),
            "input_size": input_size,
            "channels": channels,
        }
        return Network.read(self._transport.post(path_to("networks"), {"id": id, **_given(given)}).body)

    def remove_network(self, id: str) -> None:
        """Remove a network that nothing needs. Conflict says what needs it: pictures, jobs, a training."""
        self._transport.delete(path_to("networks", id))

    def wait_for_network(self, id: str, *, timeout: float = 600.0) -> Network:
        """Block until a network is inspected; ImagoError if it failed, WaitTimeout if no worker came, or the
        server did not answer.
        """
        wait = Wait(self._transport, timeout, lambda: f"No worker has inspected {id}", seen=False)
        while True:
            network = Network.read(wait.get(path_to("networks", id)))
            if network.state == "ready" and not network.awaits_inspection:
                return network
            if network.state == "failed":
                raise ImagoError(f"{id} cannot be used: {network.error}")
            wait.pause(1.0)

    def layers(self, network: str, layers: str = "all") -> list[Layer]:
        """The layers of a network, in execution order.

        layers: words for those meant, such as `"blocks"` (stem, the output of every block, head, output),
        `"convolutions"`, `"blocks.2.*"`, joined by commas.
        """
        path = path_to("networks", network, "layers")
        words = None if layers == "all" else {"layers": layers}
        return [Layer.read(raw) for raw in self._transport.entries(path, words)]

    def layer(self, network: str, layer: str, *, former: bool = False) -> Layer:
        """One layer; `output` is the network's last. `former`: also one that the network had before it was
        inspected again.
        """
        path = path_to("networks", network, "layers", layer)
        return Layer.read(self._transport.get(path, {"former": "true" if former else None}))

    def units(
        self, network: str, layer: str, *, label: str | None = None, former: bool = False
    ) -> Iterator[Unit]:
        """The units of a layer with what is known of their pictures, page by page as you iterate; only the
        one of a class if its name is given. `former` is as for `layer`.
        """
        path = path_to("networks", network, "layers", layer, "units")
        filters = {"label": label, "former": "true" if former else None}
        for raw in self._transport.entries(path, filters):
            yield Unit(raw["network"], raw["layer"], raw["unit"], self._transport, raw)

    def unit(self, unit: str) -> Unit:
        """One unit by its path, `efficientnet_lite0.imagenet/output/207`. Asks the server nothing yet."""
        return Unit(*parse_unit(unit), self._transport)

    def generators(self) -> list[Generator]:
        """The generators that pictures can be made with."""
        return [Generator.read(raw) for raw in self._transport.entries(path_to("generators"))]

    def remove_generator(self, id: str) -> None:
        """Remove a generator that nothing needs. Conflict says what needs it: pictures, or a training."""
        self._transport.delete(path_to("generators", id))

    def techniques(self) -> list[Technique]:
        """The techniques, each with the JSON Schema of its parameters."""
        return [Technique.read(raw) for raw in self._transport.entries(path_to("techniques"))]

    def technique(self, id: str) -> Technique:
        """One technique with the JSON Schema of its parameters."""
        return Technique.read(self._transport.get(path_to("techniques", id)))

    def presets(self) -> list[Preset]:
        """The ways to train a generator, each with the JSON Schema of its options."""
        return [Preset.read(raw) for raw in self._transport.entries(path_to("presets"))]

    def preset(self, id: str) -> Preset:
        """One preset with the JSON Schema of its options."""
        return Preset.read(self._transport.get(path_to("presets", id)))

    # Work

    def submit(
        self,
        network: str,
        targets: Targets,
        *,
        seeds: Iterable[int] = (0,),
        candidates: int | None = None,
        generator: str | None = None,
        technique: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        lane: str | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Ask for pictures of units; what is made already is answered from the cache.

        targets: `["output/0-11,207", "output/volcano", "blocks.3/all"]`, `Target`s, or `{"output": [207]}`.
        seeds: one picture of each unit for each seed. candidates: of each of these make so many, of which the
        network's own favourite is the best (`Job.items(best=True)`). parameters: of the technique, else the
        server's own.
        lane: `interactive` (default) or `bulk`. idempotency_key: by default a fresh one, so that a POST sent
        again after a lost answer makes no second job; pass your own to make repeated calls safe too.
        """
        body: Json = {
            "network": network,
            "targets": [target.as_json() for target in collect(targets)],
            "seeds": list(seeds),
        }
        if candidates is not None:
            body["candidates"] = candidates
        if generator is not None:
            body["generator"] = generator
        if lane is not None:
            body["lane"] = lane
        recipe: Json = {}
        if technique is not None:
            recipe["technique"] = technique
        if parameters:
            recipe["parameters"] = dict(parameters)
        if recipe:
            body["recipe"] = recipe
        answer = self._transport.post(
            path_to("jobs"), body, idempotency_key=idempotency_key or str(uuid.uuid4())
        )
        return Job(answer.body, self._transport)

    def job(self, id: str) -> Job:
        """A job by its id."""
        return Job(self._transport.get(path_to("jobs", id)), self._transport)

    def jobs(self, *, state: str | None = None, limit: int = 50) -> list[Job]:
        """The latest jobs, newest first; only those in one state if it is given."""
        found = self._transport.entries(path_to("jobs"), {"state": state}, limit)
        return [Job(raw, self._transport) for raw in found]

    def remove_job(self, id: str) -> None:
        """Forget a job that has ended; its pictures stay. Conflict while it goes on."""
        self._transport.delete(path_to("jobs", id))

    def remove_training(self, id: str) -> None:
        """Forget a training that has ended, with its log and samples; its generator stays."""
        self._transport.delete(path_to("trainings", id))

    def train_generator(
        self,
        sources: Sequence[str],
        *,
        name: str,
        encoder: str | None = None,
        layer: str | None = None,
        encoder_size: int | None = None,
        encoder_grid: int | None = None,
        pictures: int | None = None,
        until: datetime | None = None,
        preset: str | None = None,
        options: Mapping[str, Any] | None = None,
        warm_start: str | None = None,
        idempotency_key: str | None = None,
        **fields: Any,
    ) -> Training:
        """Have a generator trained that inverts a layer of a network, on pictures that the workers can see.

        sources: image folders, WebDataset tars or packed .npz files, by their names below the workers' data
        root. encoder_grid: average the layer's map to so many places each way. pictures: how many to see in
        all; until: when to end (with a time zone); one of them, or a `preset`, is needed. options: what the
        preset alone takes, as `preset(id).schema` has it. warm_start: id of a generator whose weights it
        starts from. fields: further fields of the request, such as image_size, batch or precision. None is
        as left out.
        """
        inverted = {
            "network": encoder,
            "layer": layer,
            "input_size": encoder_size,
            "grid": encoder_grid,
        }
        training: Json = {
            "sources": list(sources),
            "encoder": _given(inverted),
            "pictures": pictures,
            "until": None if until is None else until.isoformat(),
            "preset": preset,
            "options": None if options is None else dict(options),
            "warm_start": warm_start,
            **fields,
        }
        answer = self._transport.post(
            path_to("generators"),
            {"name": name, "training": _given(training)},
            idempotency_key=idempotency_key or str(uuid.uuid4()),
        )
        return Training(answer.body, self._transport)

    def training(self, id: str) -> Training:
        """A training by its id."""
        return Training(self._transport.get(path_to("trainings", id)), self._transport)

    def trainings(self, *, state: str | None = None, limit: int = 50) -> list[Training]:
        """The latest trainings, newest first; only those in one state if it is given."""
        found = self._transport.entries(path_to("trainings"), {"state": state}, limit)
        return [Training(raw, self._transport) for raw in found]

    def scan_pictures(
        self,
        network: str,
        sources: Sequence[str],
        *,
        layers: str | Sequence[str] | None = None,
        exemplars: int | None = None,
        input_size: int | None = None,
        idempotency_key: str | None = None,
    ) -> Scan:
        """Have real pictures looked at: which of them excite each unit most, and how strongly all do.

        sources: image folders, WebDataset tars or packed .npz files, by their names below the workers' data
        root. layers: `blocks` (what is watched unless told otherwise), `all`, names, patterns, or a list.
        exemplars: how many are kept of each unit.
        """
        body = {
            "network": network,
            "sources": list(sources),
            "layers": listed(layers),
            "exemplars": exemplars,
            "input_size": input_size,
        }
        answer = self._transport.post(
            path_to("scans"), _given(body), idempotency_key=idempotency_key or str(uuid.uuid4())
        )
        return Scan(answer.body, self._transport)

    def scan(self, id: str) -> Scan:
        """A scan of real pictures by its id."""
        return Scan(self._transport.get(path_to("scans", id)), self._transport)

    def scans(self, *, network: str | None = None, state: str | None = None, limit: int = 50) -> list[Scan]:
        """The latest scans, newest first; only those with one network or in one state if it is given."""
        filters: Parameters = {"network": network, "state": state}
        found = self._transport.entries(path_to("scans"), filters, limit)
        return [Scan(raw, self._transport) for raw in found]

    def remove_scan(self, id: str) -> None:
        """Forget a scan that has ended, with the exemplars that it found."""
        self._transport.delete(path_to("scans", id))

    def queue(self) -> Queue:
        """What waits, and who works."""
        return Queue.read(self._transport.get(path_to("queue")))

    # Pictures

    def visualization(self, digest: str) -> Visualization:
        """A visualization by its digest."""
        return Visualization.read(self._transport.get(path_to("visualizations", digest)), self._transport)

    def visualizations(
        self,
        *,
        network: str | None = None,
        layer: str | None = None,
        unit: int | None = None,
        state: str | None = None,
        limit: int | None = None,
    ) -> Iterator[Visualization]:
        """Search what there is, page by page as you iterate."""
        filters: Parameters = {"network": network, "layer": layer, "unit": unit, "state": state}
        for raw in self._transport.entries(path_to("visualizations"), filters, limit):
            yield Visualization.read(raw, self._transport)


def _given(fields: Json) -> Json:
    """Those that are not None."""
    return {name: value for name, value in fields.items() if value is not None}
