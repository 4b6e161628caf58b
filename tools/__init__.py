"""What the project's own documentation is made with; no part of the package."""
