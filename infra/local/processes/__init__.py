"""Processes that one command starts, keeps alive and ends."""
