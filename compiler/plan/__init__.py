"""Where every tensor lies in the arena, and when: pure functions from a graph to a Plan."""
