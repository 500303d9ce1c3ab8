"""Pages of trainings: the list, one training with its charts and pictures, and what may be done with it."""
