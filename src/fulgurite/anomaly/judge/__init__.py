"""How good an anomaly score is: measures, baselines, and the protocol that puts them beside each other."""
