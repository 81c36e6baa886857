"""How detectors are compared: runs that are kept, statistics with intervals, and the tables made of both."""
