"""Pictures as files: sizes and formats, contact sheets, and how IIIF asks for them."""
