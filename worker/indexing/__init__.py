"""Embedding pictures: each as it is made, and those that were made before."""
