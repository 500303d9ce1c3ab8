"""Training of generators: from a collection of pictures and an encoder to a file that
`imago_engine.synthesis` loads.
"""
