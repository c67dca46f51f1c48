"""How good counterfactuals are, one measure per file."""
