"""Int8 TFLite models of known networks with random weights, for tests and measurements; see catalogue.py."""
