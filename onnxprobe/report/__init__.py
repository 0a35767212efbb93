"""A report in, text out: console, JSON, CSV. Only here and on the command line it has a look."""
