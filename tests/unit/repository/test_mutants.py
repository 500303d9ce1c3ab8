"""The mutants of `make mutants` are changes of the code that there is."""

from pathlib import Path

import pytest

from tests.mutants.mutant import Mutant
from tests.mutants.promises import MUTANTS

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.promise)
def test_a_mutant_changes_what_is_there(mutant: Mutant) -> None:
    """If this fails, the code of a promise was changed: mend `tests/mutants/promises.py`, run `make
    mutants`.
    """
    assert mutant.applied(ROOT) != (ROOT / mutant.file).read_text()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.promise)
def test_the_tests_that_should_notice_are_there(mutant: Mutant) -> None:
    for test in mutant.tests:
        path, _, name = test.partition("::")
        assert not name or f"def {name.partition('[')[0]}(" in (ROOT / path).read_text(), test
        assert (ROOT / path).is_file(), test


def test_each_mutant_breaks_another_promise() -> None:
    assert len({mutant.promise for mutant in MUTANTS}) == len(MUTANTS)
