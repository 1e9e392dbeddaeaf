"""The JSON API under /api: what the pages show, for scripts as well. docs/reference/track-api.md describes it."""
