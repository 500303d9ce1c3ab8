import sys

from imago_engine.importing.command import run

sys.exit(run(sys.argv[1:]))
