"""Quantization: observers, weights, conversion, files, figures on real data."""
