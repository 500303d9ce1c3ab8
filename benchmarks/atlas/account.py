"""What is known of a run so far, kept in a file beside the servers' own, so that it goes on where it was."""

import json
from pathlib import Path
from typing import Any


class Account:
    """Facts by name."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.facts: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def note(self, **facts: Any) -> None:
        """Keep these too; a kill leaves the file as it was or as it is."""
        self.facts |= facts
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(self.facts))
        new.replace(self._path)
