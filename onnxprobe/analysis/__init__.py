"""The story: plan, execute, assemble. The conductor stays; the worker, a child process, may die."""
