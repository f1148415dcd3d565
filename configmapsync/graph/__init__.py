"""Find loops and contested destinations among all syncs."""
