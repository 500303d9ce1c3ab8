"""A change that breaks one promise on purpose, and the tests that should notice."""

from dataclasses import dataclass
from pathlib import Path


class StaleMutant(Exception):
    """The code is no longer what a mutant says: mend the table in `tests/mutants/promises.py`."""


@dataclass(frozen=True)
class Mutant:
    """`old` stands exactly once in `file` and becomes `new`; one of `tests` (paths or node ids) must fail.

    `promise` is what is broken by that, in words.
    """

    promise: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def applied(self, root: Path) -> str:
        """The text of the file with the change made. Raises `StaleMutant`."""
        path = root / self.file
        if not path.is_file():
            raise StaleMutant(f"{self.promise!r}: there is no {self.file}")
        text = path.read_text()
        if (found := text.count(self.old)) != 1:
            raise StaleMutant(
                f"{self.promise!r}: {self.file} has this {found} times instead of once:\n{self.old}"
            )
        return text.replace(self.old, self.new)
