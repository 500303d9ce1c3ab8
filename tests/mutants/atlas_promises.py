"""What the building of atlases promises: nothing twice, nothing missing, and nothing of what is paused."""

from tests.mutants.mutant import Mutant

_TESTS = "tests/integration/atlases"

ATLAS_PROMISES = (
    Mutant(
        "what a layer has already is not made again when units are added",
        "services/atlases/building/chunks.py",
        "missing = [unit for unit in units if unit not in there] if there else units",
        "missing = units",
        (f"{_TESTS}/test_expansion.py::test_what_it_is_extended_by_is_made_and_nothing_else",),
    ),
    Mutant(
        "paused atlases do not keep each other's pictures going",
        "services/jobs/withdrawal.py",
        "atlases.no = jobs.atlas_no AND atlases.wish = 'build')",
        "atlases.no = jobs.atlas_no)",
        (f"{_TESTS}/test_changes.py::test_two_paused_atlases_do_not_keep_each_others_pictures_going",),
    ),
    Mutant(
        "what is let go is counted in the jobs that it is a part of",
        "services/jobs/job_counters.py",
        "    row.canceled += counts[State.CANCELED]\n",
        "",
        (f"{_TESTS}/test_changes.py::test_nothing_of_a_paused_atlas_is_claimed_and_what_is_computed_ends",),
    ),
    Mutant(
        "a version that is published has no picture that is still to come",
        "services/atlases/publishing.py",
        "    session.execute(_MOVE_ON, part)\n",
        "",
        (f"{_TESTS}/test_versions.py::test_a_published_version_shows_what_is_done_and_the_next_the_rest",),
    ),
)
