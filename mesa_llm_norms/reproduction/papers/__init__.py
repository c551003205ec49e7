"""Papers played again: what each states, what comes out here, and whether the two agree."""
