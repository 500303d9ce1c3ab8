"""Carrying out jobs of `imago_engine.training_jobs`: prepare pictures, train, export, measure bounds."""
