"""Training of generators: from a collection of pictures and an encoder to a file that `worker.synthesis`
loads.
"""
