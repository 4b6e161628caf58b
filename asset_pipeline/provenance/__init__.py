"""Where a file came from, as the file itself says it: marks, signatures, and reading them back."""
