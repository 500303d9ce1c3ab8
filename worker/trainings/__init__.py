"""Trainings as jobs: slices of a process that trains, from claim to hand-over."""
