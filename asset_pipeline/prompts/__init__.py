"""What to make: prompt files, imported and validated into prompts."""
