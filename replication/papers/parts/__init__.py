"""What cards are made of: transcripts, recipes, small models, detectors, and the models of a user."""
