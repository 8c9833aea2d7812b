"""From values to what is stored, and back."""
