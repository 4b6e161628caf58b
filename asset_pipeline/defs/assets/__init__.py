"""The software-defined assets, thin."""
