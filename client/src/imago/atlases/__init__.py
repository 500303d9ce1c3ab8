"""Atlases: the pictures of many units of a network, built overnight, in versions that never change.

atlas = client.atlases.create("efficientnet_lite0.imagenet", facets=2)
atlas.wait()
for unit in atlas.units("output"):
    unit.save("pictures/")
"""
