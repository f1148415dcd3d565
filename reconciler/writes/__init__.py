"""Write copies: one request at a time for each destination, each with its own retries."""
