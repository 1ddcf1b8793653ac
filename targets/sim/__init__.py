"""Simulators: each runs an ELF and gives a Trace."""
