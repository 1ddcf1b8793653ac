"""The graph: values, operators and types that every other part of Thimble passes along."""
