"""Pictures drawn from a prompt's words: seeded, varied, and marked as the sandbox's own."""
