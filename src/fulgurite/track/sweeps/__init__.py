"""Sweeps: which parameters the next run gets, and which runs aren't worth going on with."""
