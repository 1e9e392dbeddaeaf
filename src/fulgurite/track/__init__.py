"""The trace: runs kept on this machine, written by the Trainer or by the wandb client, and looked at in a browser."""
