"""`python -m worker.training train | resume | export | bounds`."""

import sys

from worker.training.command import main

sys.exit(main(sys.argv[1:]))
