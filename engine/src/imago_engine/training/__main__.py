"""`python -m imago_engine.training train | resume | export | bounds`."""

import sys

from imago_engine.training.command import main

sys.exit(main(sys.argv[1:]))
