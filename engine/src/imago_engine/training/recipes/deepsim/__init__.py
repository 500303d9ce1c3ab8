"""The recipe released with DeePSiM: losses, networks and their balance."""
