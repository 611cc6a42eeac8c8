"""Fitting one model."""
