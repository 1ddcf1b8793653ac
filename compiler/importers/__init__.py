"""Model files to graphs: the only code that knows those formats."""
