"""The trace of runs: what was configured, logged and saved. Needs no torch."""
