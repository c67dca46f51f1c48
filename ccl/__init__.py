"""Counterfactual contrastive learning: models, losses and experiments of the paper companion."""
