"""Preflight: what is wrong with a plan, found by measuring before the hours of training are spent."""
