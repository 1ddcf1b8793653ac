"""The Ibex RTL in a small SoC, verilated: firmware runs on it cycle by cycle, as on the chip."""
