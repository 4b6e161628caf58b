"""The ledger: intents, append-only entries, budgets, clips, breakers and the rate.

The schema and every statement that changes the ledger belong here. Decisions that ask the
provider or the store do not (``generation``, ``custody``).
"""
