"""One file an operator: typed attributes, shape rule, constraints, integer reference, kernel call and cost."""
