"""Metrics, intervals and the verdict."""
