"""What "the same value" means: digests of content."""
