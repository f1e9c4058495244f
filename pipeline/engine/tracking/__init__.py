"""MLflow as a projection of the store. Importing this does not import MLflow; writing to it does."""
