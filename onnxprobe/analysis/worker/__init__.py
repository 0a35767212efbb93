"""The half of an analysis that touches a model's bytes; runs in a child process that may die."""
