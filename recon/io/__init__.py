"""Readers and writers of the files users exchange."""
