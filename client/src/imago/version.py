"""The client's version, which is that of the service: a copy of `imago_engine/version.py`."""

__version__ = "0.1.0"
