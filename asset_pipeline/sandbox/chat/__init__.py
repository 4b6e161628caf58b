"""The sandbox's language models: OpenRouter's API, answered by rules."""
