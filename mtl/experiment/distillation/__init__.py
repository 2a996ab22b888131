"""Distillation: tasks that learn from the outputs of trained models (Hinton et al. 2015)."""
