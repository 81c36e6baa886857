"""The backdoor scanner: is there a class that one small common change reaches from all others? It uses no data.

`scanning.scan` scans a model and `calibration.calibrate` measures clean models to compare with. `statistics.registry`
lists what is measured; `docs/scanner.md` explains the whole.
"""
