"""Lanes: where stages run, on a Ray cluster or in this process, and the board that leases them their stages."""
