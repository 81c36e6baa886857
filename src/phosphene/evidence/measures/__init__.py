"""One file a measure; `registry` lists them."""
