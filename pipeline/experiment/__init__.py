"""YAML -> typed spec -> DAG of stages with content keys, and what of it must run. Never imports torch or Ray.

`loading.load` reads a grid, `expansion.expand` makes its stages and points, `planning.plan` compares them with a store.
"""
