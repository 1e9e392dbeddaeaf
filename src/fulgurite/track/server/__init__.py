"""The server behind `fulgurite ui`: the W&B protocol, a JSON API and the pages, over one store, in one process."""
