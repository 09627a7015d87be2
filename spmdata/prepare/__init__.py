"""From a source to a finished store: plan, run the tasks, finalise."""
