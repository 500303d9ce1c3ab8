"""`python -m imago`: the command line."""

from imago.cli import main

main()
