"""One run of a training: its loop, schedule, checkpoints and folder."""
