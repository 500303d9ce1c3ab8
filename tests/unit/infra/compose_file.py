"""docker-compose.yml, the Dockerfiles and .dockerignore, read as data."""

import re
import shlex
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]


def compose() -> dict[str, Any]:
    """The compose file with anchors and merge keys resolved and variables as written."""
    content: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return content


@dataclass(frozen=True)
class Instruction:
    """One line of a Dockerfile, continuations joined: `name` in capitals, flags such as --from apart."""

    name: str
    flags: tuple[str, ...]
    text: str

    @property
    def words(self) -> list[str]:
        """The arguments, of the JSON form or the shell form."""
        if self.text.startswith("["):
            return [str(word) for word in yaml.safe_load(self.text)]
        return shlex.split(self.text)


def dockerfile(path: str) -> list[Instruction]:
    text = re.sub(r"^\s*#.*\n", "", (ROOT / path).read_text(), flags=re.MULTILINE)
    instructions = []
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip():
            name, _, rest = line.strip().partition(" ")
            flags = re.match(r"(?:--\S+\s+)*", rest)
            assert flags is not None
            instructions.append(
                Instruction(name.upper(), tuple(flags.group().split()), rest[flags.end() :].strip())
            )
    return instructions


def final_stage(instructions: list[Instruction]) -> list[Instruction]:
    """What makes up the image: the last stage with all the stages that it is built on, in order."""
    stages: dict[str, list[Instruction]] = {}
    defaults: dict[str, str] = {}
    current: list[Instruction] = []
    for instruction in instructions:
        if instruction.name == "FROM":
            base, *name = instruction.text.split(" AS ")
            for argument, value in defaults.items():
                base = base.replace(f"${{{argument}}}", value)
            current = list(stages.get(base, []))
            stages[name[0] if name else ""] = current
        elif instruction.name == "ARG" and "=" in instruction.text:
            argument, value = instruction.text.split("=", 1)
            defaults.setdefault(argument, value)
        current.append(instruction)
    return current


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps a path out of the build context: the last pattern that matches decides."""
    result = False
    candidates = [path, *(str(parent) for parent in Path(path).parents if str(parent) != ".")]
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.strip()
        if pattern and not pattern.startswith("#"):
            wanted = pattern.removeprefix("!").removeprefix("**/")
            names = [Path(each).name for each in candidates] if "**/" in pattern else candidates
            if any(fnmatch(name, wanted) for name in names):
                result = not pattern.startswith("!")
    return result
