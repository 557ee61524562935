"""A trained classifier looked into: filters, positions, attention, receptive fields, and what its depths know."""
