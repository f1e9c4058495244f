"""What a stage means, typed, with its key, and the facts that planning and training share: no torch."""
