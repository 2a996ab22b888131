"""Bridges to other libraries: spaCy, Hugging Face datasets."""
