"""The engine in a notebook: functions with sensible defaults, and pictures that show themselves.

What people use of it is at the root of the package: `from imago_engine import synthesize`. Nothing here
imports torch before one of the functions is called.
"""
