"""What people write by hand: YAML with line numbers, and files that guards go by."""
