"""Names that ``dagster.yaml`` files of earlier releases hold; nothing else belongs here."""
