"""Which models exist: their inputs, outputs, prices and fallbacks."""
