"""The training's side of the trace: what a run logs goes into the store from here, beside the training."""
