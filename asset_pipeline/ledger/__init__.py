"""The truth about money: intents, append-only entries, budgets and clips."""
