"""Objects (digest -> bytes), the index (key -> record), and the store that binds them."""
