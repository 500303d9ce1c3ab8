"""Exemplars: scans of real pictures, what they found of each unit, and what a worker may do with one."""
