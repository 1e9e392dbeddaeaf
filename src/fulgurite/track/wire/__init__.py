"""The W&B client's protocol and file format. The only place that knows W&B's names."""
