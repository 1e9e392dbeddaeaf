"""Train PyTorch models the PyTorch Lightning way, at the speed of a hand-written loop, with the full trace of every run."""
