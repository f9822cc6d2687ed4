"""`samovar demo`: the whole loop on iris and fraud, told as it goes, and verified from outside."""
