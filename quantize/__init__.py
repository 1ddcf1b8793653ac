"""Float graph to integer graph. Empty so far: Thimble takes models that are already int8."""
