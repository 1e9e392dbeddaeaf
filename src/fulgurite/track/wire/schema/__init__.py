"""The types that the client asks about, each made from what the store knows."""
