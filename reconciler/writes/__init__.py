"""How writes are carried out: one destination at a time, each with its own retries."""
