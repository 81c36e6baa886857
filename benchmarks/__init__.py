"""Every number of the docs: each script says what it measures, prints a table and writes `results/NAME.json`."""
