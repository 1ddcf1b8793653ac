"""Graphs written as files of other tools: the only code, beside the importers, that knows a model format."""
