"""Regularized Latent Search: degradations, objective, optimisation, settings."""
