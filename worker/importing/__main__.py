import sys

from worker.importing.command import run

sys.exit(run(sys.argv[1:]))
