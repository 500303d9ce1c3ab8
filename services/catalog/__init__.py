"""Networks, their layers and units, and generators: registered, inspected, removed."""
