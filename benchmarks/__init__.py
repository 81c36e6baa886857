"""Every number of the docs: each script says what it measures, prints a table and writes `results/NAME.json`.

`PHOSPHENE_RESULTS=FOLDER` writes elsewhere, so that a trial overwrites nothing. The committed observations of `peers`,
`experiments` and `halfway` are those of `OMP_NUM_THREADS=1`: with more threads kernels sum in other orders, and the
estimate amplifies the last bit to another map.
"""
