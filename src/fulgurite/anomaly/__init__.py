"""The application: rows with a time in, scores, events and a picture out."""
