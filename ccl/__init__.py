"""Counterfactual contrastive learning: pairs, losses, encoders, objectives and the generator."""
