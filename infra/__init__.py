"""How imago is run: the embedded servers of `make up`, and the files of a deployment."""
