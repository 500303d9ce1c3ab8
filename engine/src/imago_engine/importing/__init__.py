"""Generators that others have trained, read once into the product's own file format.

A library beside `imago_engine.synthesis`, the only room it builds on: sources (file, https, hub), foreign
formats (Caffe protobufs, PyTorch state dicts, bounds files) and `importer`, which puts them together.
"""
