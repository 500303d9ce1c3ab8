"""Texts of what is told: names instead of paths, and nothing that no encoding can write."""

from imago_engine.training_events import Failed, LeftOut, Note, TrainingEvent
from imago_engine.training_jobs import Job, containers_of, places_of


class Names:
    """Of the places of a job. A path below its folder or its data root is told without these."""

    def __init__(self, job: Job) -> None:
        named = {
            str(path): place.name or ""
            for place in places_of(job)
            if place.name is not None
            for path in (place.path, place.path.resolve())
        }
        around = {
            f"{path}/": ""
            for place in containers_of(job)
            if place.name is not None
            for path in (place.path, place.path.resolve())
        }
        # What lies inside another before it.
        self._names = sorted({**named, **around}.items(), key=lambda entry: len(entry[0]), reverse=True)

    def put_into(self, event: TrainingEvent) -> TrainingEvent:
        """The event with names in its texts for people, and escapes for bytes of names that are no text."""
        match event:
            case Failed() | Note():
                return event.model_copy(update={"message": self._said(event.message)})
            case LeftOut():
                return event.model_copy(update={"first": [self._said(line) for line in event.first]})
        return event

    def _said(self, text: str) -> str:
        for path, name in self._names:
            text = text.replace(path, name)
        return text.encode(errors="backslashreplace").decode()
