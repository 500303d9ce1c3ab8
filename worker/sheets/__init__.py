"""Making contact sheets: drawing tiles, walking the pyramid, and the turns in which it is done."""
