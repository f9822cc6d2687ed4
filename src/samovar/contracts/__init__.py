"""What one row and one answer must look like, and the forms they take."""
