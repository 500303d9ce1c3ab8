"""Carry out what is wanted of an atlas: make its jobs, choose among candidates, let go of it, remove it."""
