"""What the report draws, described once for the page and for the stills."""
