"""Who is asked: a classifier as an immutable value, its checks, and where models come from."""
