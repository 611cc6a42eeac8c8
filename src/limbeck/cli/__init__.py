"""The command line. Importing it does not import torch."""

from limbeck.cli.app import main

__all__ = ["main"]
