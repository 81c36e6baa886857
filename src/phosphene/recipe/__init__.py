"""What is asked: concepts, distributions, views, compositions, geometries, and presets of all of them."""
