"""What a training leaves: samples, journal, code statistics, model card and the generator's file."""
