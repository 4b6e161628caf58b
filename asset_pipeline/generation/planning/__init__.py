"""Planning: what a run would do and cost, before anything is paid."""
