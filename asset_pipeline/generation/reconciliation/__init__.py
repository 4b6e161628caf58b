"""What became of what has no clear answer; what nobody asked for."""
