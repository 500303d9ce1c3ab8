"""The command line of trainings: options that become a job, and events that become lines of text."""
