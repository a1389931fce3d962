"""Runs the command line for `python -m engine`."""

from engine.cli import main

main()
