"""The file that ships."""
