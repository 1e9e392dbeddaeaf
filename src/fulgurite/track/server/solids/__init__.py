"""Logged bodies, meshes and molecules, read from files that may come from anybody: by a process with tight limits."""
