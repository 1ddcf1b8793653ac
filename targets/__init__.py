"""Chips as data, their start-up code and linker scripts, the firmware build, and the simulators."""
