"""People to maps and back again: what the targets themselves cost, whoever asks."""
