"""Round-trip decoding of a prepared store: how good the targets themselves are."""
