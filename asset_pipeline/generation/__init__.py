"""The paid call, its batches and its failure classes."""
