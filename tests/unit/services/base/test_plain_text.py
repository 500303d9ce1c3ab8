"""What workers say of errors, as anyone may read it."""

import pytest

from services.base.plain_text import told


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "a.safetensors: cannot be read ([Errno 13] Permission denied: '/srv/my nets/a.safetensors')",
            "a.safetensors: cannot be read ([Errno 13] Permission denied: 'a.safetensors')",
        ),
        ("OSError: No such file: '/weights'", "OSError: No such file: 'weights'"),
        ("ValueError: /home/x/.cache/a.pth: no zip", "ValueError: a.pth: no zip"),
        ("/srv/cache/ab.safetensors is none", "ab.safetensors is none"),
        ('File "/usr/lib/python3.11/x.py", line 3', 'File "x.py", line 3'),
        ("left in (/var/tmp/x/y) and dir=/a/b/", "left in (y) and dir=b"),
    ],
)
def test_of_a_path_of_the_workers_machine_the_last_name_alone_is_told(message: str, expected: str) -> None:
    assert told(message) == expected


@pytest.mark.parametrize(
    "message",
    [
        "POST /v1/networks registers one, and '/v1/atlases/x' is another.",
        "See https://example.org/a/b and http://example.org/a/b.",
        "photographs/a.png and/or 3/4 of 7 km/h / 2",
        "'blocks.2.*' matches no layer; it has: blocks/2/conv.",
    ],
)
def test_what_is_no_path_of_a_machine_is_told_as_it_is(message: str) -> None:
    assert told(message) == message


def test_what_no_database_holds_is_told_as_escapes() -> None:
    assert told("a\0b\ud800") == r"a\x00b\ud800"
