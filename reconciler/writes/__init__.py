"""Write copies: one request at a time for each destination, with its own retries."""
