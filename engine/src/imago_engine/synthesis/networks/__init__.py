"""Networks on the device: loaded, run, watched, cut off after a layer."""
