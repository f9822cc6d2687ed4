"""`samovar up`: the local services, supervised."""
