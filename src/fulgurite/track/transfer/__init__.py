"""Ways in and out of the store: other trackers' files become runs, and runs become plain files."""
