"""From the results table to numbers: means, paired tests, convergence, survivors by layer, overlap of masks."""
