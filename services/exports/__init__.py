"""Export and import: atlases as files, for other services and other tools."""
