"""The study's recordings: reading them, fitting minds to them, and validating what was fitted."""
