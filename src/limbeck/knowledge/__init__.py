"""What the teacher said, kept so that it is asked once."""
