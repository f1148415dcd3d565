"""Tests of the pages in docs/: their commands, samples and links."""
