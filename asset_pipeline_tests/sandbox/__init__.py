"""The sandbox, met over real HTTP with the real client."""
