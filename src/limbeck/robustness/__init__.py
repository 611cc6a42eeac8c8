"""What models do when inputs are not as they were in training."""
