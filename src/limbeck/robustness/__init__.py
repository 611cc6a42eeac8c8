"""What a model does on inputs that it was not trained on."""
