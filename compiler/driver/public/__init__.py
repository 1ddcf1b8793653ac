"""Thimble: a trained network in, verified microcontroller firmware out."""
