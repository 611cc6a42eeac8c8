"""What a model that was trained before is worth on other data, told before any training."""
