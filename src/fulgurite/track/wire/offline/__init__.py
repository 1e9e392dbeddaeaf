"""What the client keeps in folders while it is offline: its file format, and the runs in it."""
