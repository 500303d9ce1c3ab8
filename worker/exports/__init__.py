"""Exports of atlases that the service itself writes down."""
