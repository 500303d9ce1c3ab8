"""`python -m imago_engine.training train | resume | export | bounds | run`."""

import sys

from imago_engine.training.command import main

sys.exit(main(sys.argv[1:]))
