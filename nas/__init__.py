"""Architecture search priced by the planner and the simulator. Empty so far."""
