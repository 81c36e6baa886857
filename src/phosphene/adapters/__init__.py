"""Maps in the shape that attribution libraries expect, so that their tools run on ours."""
