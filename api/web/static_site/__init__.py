"""An atlas as files that need no server: pages of the same components, with relative addresses."""
