"""Float graph to integer graph: calibration, ranges, weights, bias correction and learned rounding."""
