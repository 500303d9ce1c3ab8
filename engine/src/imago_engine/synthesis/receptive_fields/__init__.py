"""Which part of the input a unit sees, followed through the operations of a forward pass."""
