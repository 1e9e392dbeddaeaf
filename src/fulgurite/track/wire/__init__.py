"""All that knows the names and formats of Weights & Biases; the rest of the trace knows none of them."""
