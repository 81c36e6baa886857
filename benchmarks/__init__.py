"""Every number of the docs: each script says what it measures, prints a table and writes `results/NAME.json`.

`PHOSPHENE_RESULTS=FOLDER` writes elsewhere, so that a trial overwrites nothing. The committed pictures and their numbers
were made with `OMP_NUM_THREADS=1`: with more threads kernels sum in other orders, and a map is another one.
"""
