"""Which conventions suit a data set: many are tried in memory, on a sample of its people."""
