"""Reference projects; they use only the public API."""
