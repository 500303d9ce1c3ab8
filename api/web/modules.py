"""What a script of ours imports, so that a page can ask for all of it at once.

Without that a browser hears of a module only when it has read the one that imports it, and on a page of many
pictures each waits for what is drawn meanwhile.
"""

import functools
import re
from pathlib import Path

_STATIC = Path(__file__).parent / "static"
_IMPORTED = re.compile(r'^import\b[^"]*"\./([\w-]+\.js)";', re.MULTILINE)


@functools.cache
def imports_of(name: str) -> tuple[str, ...]:
    """The modules that a module of `static/js` imports, also by way of others, each once: `js/grid.js`."""
    found: dict[str, None] = {}
    waiting = [name]
    while waiting:
        text = (_STATIC / waiting.pop()).read_text(encoding="utf-8")
        for imported in (f"js/{each}" for each in _IMPORTED.findall(text)):
            if imported not in found:
                found[imported] = None
                waiting.append(imported)
    return tuple(found)
