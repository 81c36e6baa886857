"""A folder of checkpoints scanned one by one, in a run that can be resumed, with one table at its end."""
