"""What a clean base, or an earlier checkpoint, adds to a scan: the classes' differences and how surprising they are."""
