"""Are hidden units reached of networks that the generator never saw? Counted, and drawn to be looked at."""
