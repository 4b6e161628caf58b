"""The HTTP service: other programs order clips, people look at them. Nothing here pays."""
