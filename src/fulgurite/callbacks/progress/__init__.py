"""How far a run is: progress bars for terminals, notebooks and log files."""
