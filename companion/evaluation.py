"""What frozen features are worth: probing and its statistics."""
