"""People against People: how good an estimate is."""
