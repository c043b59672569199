"""Examples become an adapter; needs torch."""
