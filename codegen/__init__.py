"""C text from a graph and its plan. Nothing here writes files or decides where a tensor lies."""
