"""Grids of evenly spread units of many layers, to be looked at: is any picture plain?"""
