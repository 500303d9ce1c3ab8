"""The version of imago: of the engine, the service and its contract.

The one place where it is written. The client stands alone and has a copy (`imago/version.py`); a test
compares the two, and both with the changelog.
"""

__version__ = "0.1.0"
