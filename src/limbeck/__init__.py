"""Limbeck turns a large model into a small one that can be shipped, and proves what that cost."""

__version__ = "0.1.0"
