"""An embedded server that speaks Replicate's API, so that everything can be tried for nothing."""
