"""Attacks on the command, as scripts that anyone can run; docs/reliability.md says what each holds it to.

    python -m benchmarks.hostile fuzz [TARGET...] --count 5000     mutated and forged files of every kind
    python -m benchmarks.hostile kill --count 100                  kill -9 over every command that writes
    python -m benchmarks.hostile race --count 50                   pairs of runs in one folder
    python -m benchmarks.hostile bombs                             files that would grow
    python -m benchmarks.hostile disk                              a full disk under every command that writes (root)
    python -m benchmarks.hostile memory [CASE...]                  peak memory of maps, scans and pages
    python -m benchmarks.hostile pages                             a page of a thousand maps in a browser
    python -m benchmarks.hostile threads                           what one thread costs, and how far maps are apart

Each is seeded, and goes on where it was interrupted (`--work DIR`). Results are records in benchmarks/results.
"""
