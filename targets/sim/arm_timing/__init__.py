"""Cycle counts for Arm Cortex-M code under QEMU: a TCG plugin and the tables of the cores that it times."""
