"""Visualizations: what names them, how they are found, and how lost ones are made again."""
