"""Kernels for cores without SIMD instructions: RV32IM, Armv6-M and Armv7-M."""
