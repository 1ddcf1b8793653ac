"""From a model file to a plan: graph, operators, importers, passes, planner and the driver on top."""
