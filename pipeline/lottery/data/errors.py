"""The error of everything that reads images."""


class DataError(ValueError):
    """Images are missing, damaged, or not what the data fields say."""
