"""What a run would do and cost, before a cent moves."""
