"""What answers for a batch: a model in memory, or one loaded from a file or a run."""
