"""The top of the house: command line, stages, reports."""
