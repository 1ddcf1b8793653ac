"""Kernels for Armv8.1-M with MVE (Helium): packed weights, C with intrinsics and generated inner loops."""
