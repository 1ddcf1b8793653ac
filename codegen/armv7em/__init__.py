"""Kernels for Armv7E-M with DSP instructions: packed weights, assembly and C generated for one layer."""
