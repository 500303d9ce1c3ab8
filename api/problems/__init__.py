"""Problem documents: the kinds of problem, and what a request did wrong."""
