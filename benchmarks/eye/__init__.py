"""The eye: pictures that it is fitted on, the fit, and whether units of one class find each other by it."""
