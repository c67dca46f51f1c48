"""The causal model: graph, image mechanism, counterfactuals and their quality."""
