"""From briefs to prompts: a language model writes proposals, a person accepts them."""
