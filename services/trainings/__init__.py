"""Trainings of generators: requests, checks, submission, and what a worker may do with one."""
