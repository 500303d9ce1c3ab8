import os
import shutil
from pathlib import Path

import pytest

from infra.local.processes import unprivileged
from infra.local.processes.process import ProcessError

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to give its place to another user")


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A folder as /root is: nobody else may enter."""
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o700)
    return folder


def test_the_way_to_a_program_is_opened_for_passing_and_not_for_reading(
    closed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program, owned = closed / "program", closed / "owned"
    shutil.copy("/bin/true", program)
    owned.mkdir()
    unprivileged.grant(unprivileged.user_id(), reads=program, owns=owned)
    assert closed.stat().st_mode & 0o777 == 0o701
    assert owned.stat().st_uid == unprivileged.user_id()
    assert f"chmod o+x {closed}" in capsys.readouterr().err

    unprivileged.grant(unprivileged.user_id(), reads=program, owns=owned)
    assert capsys.readouterr().err == "", "what is open already is not announced again"


def test_a_program_that_the_user_cannot_run_is_named(closed: Path) -> None:
    program = closed / "program"
    program.touch(mode=0o700)
    with pytest.raises(ProcessError, match=rf"cannot run {program} .*start imago as another user"):
        unprivileged.grant(unprivileged.user_id(), reads=program, owns=closed)
